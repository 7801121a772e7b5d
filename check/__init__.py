"""Rules that hold a recording against the reference model, and against itself."""
