"""Publish Samples to monitoring systems: the catalogue of metrics, and Prometheus over HTTP."""
