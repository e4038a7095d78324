"""`python -m pipeline` is the `distill3d` command."""

from pipeline.cli import main

main()
