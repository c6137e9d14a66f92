"""How Chinese characters sound: what a slip of an input method leaves as it was."""

from __future__ import annotations

import os

_syllables: dict[str, frozenset[str]] = {}


def _read() -> dict[str, frozenset[str]]:
    """Character → its syllables, read when the first Chinese word is corrected."""
    if not _syllables:
        readings: dict[str, set[str]] = {}
        with open(os.path.join(os.path.dirname(__file__), "syllables.txt"), encoding="utf-8") as file:
            for line in file:
                if not line.startswith("#"):
                    syllable, _, characters = line.rstrip("\n").partition(" ")
                    for char in characters:
                        readings.setdefault(char, set()).add(syllable)
        _syllables.update((char, frozenset(found)) for char, found in readings.items())
    return _syllables


def sound_alike(one: str, other: str) -> bool:
    """Whether two words of the same length are read the same, tones aside (`攻机` and `攻击`)."""
    syllables = _read()
    nothing: frozenset[str] = frozenset()
    return len(one) == len(other) and all(
        a == b or not syllables.get(a, nothing).isdisjoint(syllables.get(b, nothing))
        for a, b in zip(one, other, strict=True)
    )
