"""Bilingual groups of names for one idea: `知识蒸馏|knowledge distillation`. The format is described in README.md."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from papersearch.analysis.normalize import fold
from papersearch.analysis.stem import stem
from papersearch.analysis.tokens import units

AMBIGUOUS = "?"
"""Ends a short form that stands for other ideas too."""
LONGEST_KEY = 8
"""Words or runs of Chinese that a form may have and still be looked up."""


class Name(NamedTuple):
    """One name of an idea."""

    text: str
    ambiguous: bool


class Sense(NamedTuple):
    """One idea that a form names: its other names, and whether the form is short for other ideas too."""

    others: tuple[Name, ...]
    ambiguous: bool


def key_atoms(text: str) -> list[str]:
    """What forms are compared by: stems of words, runs of Chinese as they are."""
    return [unit.text if unit.cjk else stem(fold(unit.text)) for unit in units(text)[0]]


class Glossary:
    """Looks up what else a form is called."""

    def __init__(self, groups: Iterable[tuple[Name, ...]]) -> None:
        self._groups: list[tuple[Name, ...]] = []
        self._by_key: dict[str, list[int]] = {}
        for group in groups:
            number = len(self._groups)
            self._groups.append(group)
            for name in group:
                numbers = self._by_key.setdefault(" ".join(key_atoms(name.text)), [])
                if number not in numbers:
                    numbers.append(number)

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def senses(self, key: str) -> list[Sense]:
        """The ideas that a form may name; `key` is the form's atoms joined by blanks."""
        senses = []
        for number in self._by_key.get(key, ()):
            group = self._groups[number]
            own = [name for name in group if " ".join(key_atoms(name.text)) == key]
            others = tuple(name for name in group if name not in own)
            senses.append(Sense(others, all(name.ambiguous for name in own)))
        return senses


def parse_groups(lines: Iterable[str]) -> Iterator[tuple[Name, ...]]:
    """Groups of a glossary file; comments and blank lines are passed over."""
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        names = (form.strip() for form in line.split("|"))
        yield tuple(Name(n.removesuffix(AMBIGUOUS), n.endswith(AMBIGUOUS)) for n in names if n)


_shipped: Glossary | None = None


def shipped() -> Glossary:
    """The glossary of the package, read on first use."""
    global _shipped
    if _shipped is None:
        folder = os.path.dirname(__file__)
        lines: list[str] = []
        for name in sorted(os.listdir(folder)):
            if name.endswith(".tsv"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    lines += file.read().split("\n")
        _shipped = Glossary(parse_groups(lines))
    return _shipped
