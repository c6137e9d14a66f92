"""BM25 over one boosted field.

Term frequency is the sum of the boosts of a term's occurrences (3 for a title word, 1 for a word of the notes), length
is the number of positions; with one field this is BM25F of Robertson, Zaragoza and Taylor, "Simple BM25 extension to
multiple weighted fields" (2004). The idf is the non-negative variant of Lucene, log(1 + (N - n + 0.5) / (n + 0.5)).
"""

from __future__ import annotations

from math import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

K1 = 1.2
"""How soon further occurrences stop counting."""
B = 0.3
"""How much a long text is held against its words: 0 not at all, 1 in full."""


def idf(matching: int, documents: int) -> float:
    """Weight of what `matching` of `documents` documents hold: 0 documents is the rarest there can be."""
    return log(1.0 + (documents - matching + 0.5) / (matching + 0.5))


def saturation(frequency: float, length: float, average_length: float) -> float:
    """Boosted term frequency as a number in [0, K1 + 1)."""
    return dampened(frequency, dampening(length, average_length))


def saturated(frequencies: Mapping[int, float], lengths: Sequence[int], average_length: float) -> dict[int, float]:
    """saturation() of documents at once: of boosted term frequencies by document, with the lengths of all documents."""
    texts = list(map(lengths.__getitem__, frequencies))
    against = {length: dampening(length, average_length) for length in set(texts)}
    return {
        doc: frequency * (K1 + 1.0) / (frequency + against[length])
        for (doc, frequency), length in zip(frequencies.items(), texts, strict=True)
    }


def dampening(length: float, average_length: float) -> float:
    """What a text holds against the frequencies of its words: a long one more."""
    return K1 * (1.0 - B + B * length / average_length)


def dampened(frequency: float, dampening: float) -> float:
    """saturation() in a text of which the dampening() is known."""
    return frequency * (K1 + 1.0) / (frequency + dampening)
