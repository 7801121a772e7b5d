"""The reference model: pure functions with the kernel's own names."""
