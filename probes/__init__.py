"""Probe points, declared once, and the way from a kernel to a Sample."""
