"""How Chinese characters sound: what a slip of an input method leaves as it was."""

from __future__ import annotations

import os
from functools import lru_cache

_lines: list[str] = []


@lru_cache(maxsize=1024)
def sounding_like(char: str) -> frozenset[str]:
    """Characters that are read the same as one, tones aside (`机`, `击`), itself included. The syllables are read when
    the first Chinese word is corrected."""
    if not _lines:
        with open(os.path.join(os.path.dirname(__file__), "syllables.txt"), encoding="utf-8") as file:
            _lines.extend([line.rstrip("\n").partition(" ")[2] for line in file if not line.startswith("#")])
    return frozenset(char).union(*[line for line in _lines if char in line])
