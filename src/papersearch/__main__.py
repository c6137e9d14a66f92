"""python -m papersearch: the command line."""

from papersearch.cli import main

main()
