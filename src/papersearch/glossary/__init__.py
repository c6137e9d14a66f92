"""Bilingual groups of names for one idea: `知识蒸馏|knowledge distillation`. The format is described in README.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from papersearch.analysis.normalize import fold
from papersearch.analysis.stem import stem
from papersearch.analysis.tokens import units
from papersearch.record import Record

AMBIGUOUS = "?"
"""Ends a short form that stands for other ideas too."""
REMEMBERED = 1 << 13
"""Look-ups of each kind that are remembered."""
LONGEST_KEY = 8
"""Words or runs of Chinese that a form may have and still be looked up."""


Key = TypeVar("Key")
Value = TypeVar("Value")


class Name(Record):
    """One name of an idea."""

    text: str
    ambiguous: bool


class Sense(Record):
    """One idea that a form names: its other names, and whether the form is short for other ideas too."""

    others: tuple[Name, ...]
    ambiguous: bool


def key_atoms(text: str) -> list[str]:
    """What forms are compared by: stems of words, runs of Chinese as they are."""
    return [unit.text if unit.cjk else stem(fold(unit.text)) for unit in units(text)[0]]


def spelling_of(text: str) -> str:
    """The words of a form in lower case, joined by blanks whatever stood between them."""
    return " ".join(unit.text if unit.cjk else fold(unit.text) for unit in units(text)[0])


def senses_of(groups: Iterable[tuple[Name, ...]], key: str, spelling: str) -> list[Sense]:
    """The senses of a form in the groups that its key names. Where some have the very spelling, only these count:
    `transform` is not `transformer`, though their stems are the same."""
    by_stem: list[Sense] = []
    by_spelling: list[Sense] = []
    for group in groups:
        own = [name for name in group if " ".join(key_atoms(name.text)) == key]
        exact = [name for name in own if spelling_of(name.text) == spelling]
        found = by_spelling if exact else by_stem
        same = exact or own
        found.append(Sense(tuple(n for n in group if n not in same), all(name.ambiguous for name in same)))
    return by_spelling or by_stem


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

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """The ideas that a form may name; `key` is the form's atoms joined by blanks, `spelling` its words so."""
        return senses_of((self._groups[number] for number in self._by_key.get(key, ())), key, spelling)

    def meanings(self, word: str) -> list[str]:
        """What a general dictionary makes of a word: a glossary is none."""
        return []


class Remembered:
    """A Lookup that remembers what it was asked."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[str, bool] = {}
        self._senses: dict[tuple[str, str], list[Sense]] = {}
        self._meanings: dict[str, list[str]] = {}

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        return _kept(self._known, key, lambda: key in self._lookup)

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """As Glossary.senses()."""
        return _kept(self._senses, (key, spelling), lambda: self._lookup.senses(key, spelling))

    def meanings(self, word: str) -> list[str]:
        """As Glossary.meanings()."""
        return _kept(self._meanings, word, lambda: self._lookup.meanings(word))


def _kept(known: dict[Key, Value], key: Key, find: Callable[[], Value]) -> Value:
    value = known.get(key)
    if value is None:
        if len(known) >= REMEMBERED:
            known.clear()
        value = known[key] = find()
    return value


def parse_groups(lines: Iterable[str]) -> Iterator[tuple[Name, ...]]:
    """Groups of a glossary file; comments and blank lines are passed over."""
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        names = (form.strip() for form in line.split("|"))
        yield tuple(Name(n.removesuffix(AMBIGUOUS), n.endswith(AMBIGUOUS)) for n in names if n)


def sources() -> list[str]:
    """The glossary files of the package, in a fixed order."""
    folder = os.path.dirname(__file__)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".tsv")]


def signature_of(paths: Iterable[str]) -> str:
    """Tells two states of the files apart without reading them: the compiled form is made from one of them."""
    states = ((os.path.basename(path), os.stat(path)) for path in paths)
    return " ".join(f"{name}:{state.st_size}:{state.st_mtime_ns}" for name, state in states)


def read_groups(paths: Iterable[str]) -> Iterator[tuple[Name, ...]]:
    """The groups of glossary files."""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from parse_groups(file.read().split("\n"))


class Lookup(Protocol):
    """What a search asks of a glossary, read from text or compiled."""

    def __contains__(self, key: object) -> bool: ...

    def senses(self, key: str, spelling: str = "") -> list[Sense]: ...

    def meanings(self, word: str) -> list[str]: ...


class Combined:
    """Look-ups one after the other: the user's own terms, the package's glossary, a general dictionary."""

    def __init__(self, parts: Iterable[Lookup]) -> None:
        self.parts = tuple(parts)

    def __contains__(self, key: object) -> bool:
        return any(key in part for part in self.parts)

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """The senses of all parts."""
        return [sense for part in self.parts for sense in part.senses(key, spelling)]

    def meanings(self, word: str) -> list[str]:
        """The meanings of all parts."""
        return [meaning for part in self.parts for meaning in part.meanings(word)]


_shipped: Lookup | None = None


def shipped() -> Lookup:
    """The glossary of the package, read on first use."""
    global _shipped
    if _shipped is None:
        _shipped = Glossary(read_groups(sources()))
    return _shipped


def shipped_in(folder: str, *, anew: bool = False) -> Lookup:
    """The glossary of the package, compiled into an index folder where that can be written."""
    from papersearch.glossary.compiled import open_compiled

    paths = sources()
    return open_compiled(folder, signature_of(paths), lambda: read_groups(paths), anew=anew) or shipped()
