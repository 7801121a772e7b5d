"""Real kernels in virtual machines, and known workloads to run in them."""
