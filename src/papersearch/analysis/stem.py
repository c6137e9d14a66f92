"""English stems (Snowball's English stemmer, through PyStemmer where it is installed)."""

from __future__ import annotations

from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHORTEST_STEMMED, LONGEST_STEMMED = 3, 40
_stemmer: Any = None


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a lower-case English word; anything else (digits, other scripts, one or two letters) is its own."""
    global _stemmer
    if not (SHORTEST_STEMMED <= len(word) <= LONGEST_STEMMED and word.isascii() and word.isalpha() and word.islower()):
        return word
    if _stemmer is None:
        try:
            import Stemmer

            _stemmer = Stemmer.Stemmer("english").stemWord
        except ImportError:
            import snowballstemmer

            _stemmer = snowballstemmer.stemmer("english").stemWord
    return str(_stemmer(word))


def fingerprint() -> str:
    """Tells two versions of the stemmer apart by what they do: part of the index's identity."""
    probes = [
        "generation",
        "studies",
        "agreed",
        "skis",
        "dying",
        "early",
        "adversarially",
        "compilers",
        "internal",
        "universities",
        "emergent",
    ]
    return " ".join(stem(word) for word in probes)
