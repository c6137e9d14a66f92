"""Queries as people type them, drawn from the papers of a digest: in a syntax that Whoosh's parser knows as well."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from papersearch import glossary
from papersearch.paper import Paper

_LETTERS = re.compile(r"[A-Za-z]{4,}")
_HAN = re.compile(r"[\u4e00-\u9fd5]{4,}")
LONG_WORD = 6
"""Letters of a word that may be mistyped."""


class _Typist:
    """Draws parts of queries."""

    def __init__(self, papers: Sequence[Paper], seed: int) -> None:
        self.draw = random.Random(seed)
        self._titles = [words for paper in papers if len(words := _LETTERS.findall(paper.title)) > 1]
        self._long = [word for words in self._titles for word in words if len(word) >= LONG_WORD]
        self._runs = [run for paper in papers for section in paper.sections for run in _HAN.findall(section.text)]
        names = [name.text for group in glossary.read_groups(glossary.sources()) for name in group]
        self._names = sorted({name for name in names if "-" not in name and len(name) > 3})

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.draw.random() * len(choices))]

    def title(self) -> list[str]:
        """Words of a title that has two or more."""
        return list(self.pick(self._titles))

    def word(self) -> str:
        return str(self.pick(self.title()))

    def words(self) -> str:
        title = self.title()
        start = int(self.draw.random() * (len(title) - 1))
        return " ".join(title[start : start + 3])

    def name(self) -> str:
        return str(self.pick(self._names))

    def run(self) -> str:
        """Neighbouring characters of a note; words of a title where the notes have no Chinese."""
        if not self._runs:
            return self.words()
        run = str(self.pick(self._runs))
        size = 4 + int(self.draw.random() * 4)
        start = int(self.draw.random() * max(1, len(run) - size))
        return run[start : start + size]

    def neighbours(self) -> str:
        title = self.title()
        start = int(self.draw.random() * (len(title) - 1))
        return f'"{title[start]} {title[start + 1]}"'

    def slip(self) -> str:
        """A word with two of its neighbouring letters swapped."""
        while True:
            word = str(self.pick(self._long))
            at = 1 + int(self.draw.random() * (len(word) - 2))
            if word[at] != word[at + 1]:
                return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    def years(self) -> str:
        first = 2013 + int(self.draw.random() * 10)
        return f"year:[{first} TO {first + 2}]"


KINDS: dict[str, Callable[[_Typist], str]] = {
    "title": _Typist.words,
    "topic": _Typist.name,
    "characters": _Typist.run,
    "phrase": _Typist.neighbours,
    "prefix": lambda t: t.word()[:4].lower() + "*",
    "slip": _Typist.slip,
    "filter": lambda t: f"{t.name()} {t.years()}",
    "mixed": lambda t: f"{t.run()} {t.word()}",
    "without": lambda t: f"{t.word()} NOT {t.word()}",
    "either": lambda t: f"{t.word()} OR {t.name()}",
}


def type_queries(papers: Sequence[Paper], per_kind: int, seed: int) -> list[str]:
    """So many queries of each kind, in turns; the same ones for the same seed."""
    typist = _Typist(papers, seed)
    return [draw(typist) for _ in range(per_kind) for draw in KINDS.values()]


def plain_queries(papers: Sequence[Paper], count: int, seed: int) -> list[str]:
    """Queries that find something in any engine: the longest word of a title and Chinese of the same paper's notes."""
    draw = random.Random(seed)
    named = [(max(words, key=len), paper) for paper in papers if (words := _LETTERS.findall(paper.title))]
    found: list[str] = []
    for _ in range(count):
        word, paper = named[int(draw.random() * len(named))]
        runs = [run[:4] for section in paper.sections for run in _HAN.findall(section.text)]
        found.append(" ".join([word, *runs[:1]]))
    return found


def slips(papers: Sequence[Paper], count: int, seed: int) -> list[str]:
    """Words of titles with two of their letters swapped."""
    typist = _Typist(papers, seed)
    return [typist.slip() for _ in range(count)]
