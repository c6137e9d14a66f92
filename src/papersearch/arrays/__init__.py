"""The search's columns and words on numpy arrays, for a process that answers several queries. Imports numpy.

What a build does on arrays is in papersearch.arrays.postings, which a search never loads.
"""

from papersearch.arrays.columns import ArrayColumns
from papersearch.arrays.words import ArrayWords

__all__ = ["ArrayColumns", "ArrayWords"]
