"""`python -m rmapwatch`."""

from .cli import main

main()
