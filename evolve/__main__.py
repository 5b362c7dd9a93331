"""``python -m evolve``: the command line, for environments whose scripts are not on the path."""

from evolve.cli.app import main

main()
