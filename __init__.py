"""rmapwatch: what reverse mapping and page reclaim cost on a live Linux kernel."""

__version__ = "0.1.0"
