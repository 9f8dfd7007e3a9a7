"""`python -m restore`."""

from restore.cli.main import run

run()
