"""Properties are judged by their examples, not by the clock of a busy machine."""

from hypothesis import settings

settings.register_profile("rmapwatch", deadline=None)
settings.load_profile("rmapwatch")
