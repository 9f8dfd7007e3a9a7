"""`python -m restore`."""

from restore.cli import run

run()
