"""What is missing on this machine, and whether the probes count right on it."""
