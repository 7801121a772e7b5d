"""Pure functions from Samples to Readings."""
