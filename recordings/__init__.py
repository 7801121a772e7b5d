"""Recordings: write, read and replay what probes saw."""
