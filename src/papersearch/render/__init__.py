"""Results → text, JSON, CSV, BibTeX. Pure functions that return str.

Nothing here writes, or asks the system anything: the caller says how wide the screen is, whether it has colours, and
how a path of the corpus is spelled.
"""
