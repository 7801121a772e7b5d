"""What probes cost: instructions that they add to each walk and to each VMA that it enters."""
