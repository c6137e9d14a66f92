"""Text → Tokens, the same for papers, queries and snippets.

normalize.py  original text → folded text with offsets back into the original
tokens.py     folded text → units (words, formulas, runs of Chinese) → Tokens
words.py      what a run of Chinese is cut by: jieba's dictionary, or the terms of an index
stem.py       English stems
"""

ANALYSIS = 3
"""Goes up with every change of what the analysis makes of a text: an index of another number is built anew."""
