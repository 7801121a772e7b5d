"""The screen of `rmapwatch top` on a terminal."""
