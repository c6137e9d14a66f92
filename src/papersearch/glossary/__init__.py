"""Bilingual groups of names for one idea: `知识蒸馏|knowledge distillation`. The format is described in README.md."""

from __future__ import annotations

import os
from functools import lru_cache

from papersearch.analysis.normalize import fold, is_cjk
from papersearch.analysis.stem import stem
from papersearch.analysis.tokens import units
from papersearch.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Protocol, TypeVar

    Key = TypeVar("Key")
    Value = TypeVar("Value")

    class Lookup(Protocol):
        """What a search asks of a glossary, read from text or compiled."""

        def __contains__(self, key: object) -> bool: ...

        def senses(self, key: str, spelling: str = "") -> list[Sense]: ...

        def related(self, key: str, spelling: str = "", but: Iterable[str] = ()) -> list[tuple[Name, ...]]: ...

        def meanings(self, word: str) -> list[str]: ...


AMBIGUOUS = "?"
"""Ends a short form that stands for other ideas too."""
RELATED = "related.tsv"
"""The file whose rows say which groups of the others lie near each other."""
REMEMBERED = 1 << 13
"""Look-ups of each kind that are remembered."""
LONGEST_KEY = 8
"""Words or runs of Chinese that a form may have and still be looked up."""


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


@lru_cache(maxsize=REMEMBERED)
def key_of(text: str) -> str:
    """What a form is looked up by: its atoms joined by blanks. A query asks for that of the same names repeatedly."""
    return " ".join(key_atoms(text))


def spelling_of(text: str) -> str:
    """The words of a form in lower case, joined by blanks whatever stood between them."""
    return " ".join(unit.text if unit.cjk else fold(unit.text) for unit in units(text)[0])


def _meant(
    groups: Iterable[tuple[Name, ...]], key: str, spelling: str
) -> list[tuple[int, tuple[Name, ...], list[Name]]]:
    """(which of the groups, the group, the names in it that the form is) for those that a form names. Where some have
    the very spelling, only these count: `transform` is not `transformer`, though their stems are the same."""
    by_stem: list[tuple[int, tuple[Name, ...], list[Name]]] = []
    by_spelling: list[tuple[int, tuple[Name, ...], list[Name]]] = []
    for at, group in enumerate(groups):
        own = forms_of(group, key)
        exact = [name for name in own if spelling_of(name.text) == spelling]
        (by_spelling if exact else by_stem).append((at, group, exact or own))
    return by_spelling or by_stem


def forms_of(group: tuple[Name, ...], key: str) -> list[Name]:
    """The names of a group that have a key."""
    return [name for name in group if _may_be(name.text, key) and key_of(name.text) == key]


def _may_be(name: str, key: str) -> bool:
    """Whether a name may have a key; most can be told from others by their first letter, which stems keep."""
    first = name[:1]
    if first.isascii():
        return not first.isalpha() or first.lower() == key[:1]
    return not (key.isascii() and is_cjk(first))


def relations_of(groups: Iterable[tuple[Name, ...]], rows: Iterable[tuple[Name, ...]]) -> dict[int, list[int]]:
    """Number of a group → numbers of those near it: in each row the first with each of the others, both ways. A name
    that no group has for sure is passed over."""
    sure = {name.text: number for number, group in enumerate(groups) for name in group if not name.ambiguous}
    near: dict[int, list[int]] = {}
    for row in rows:
        numbers = [sure[name.text] for name in row if name.text in sure]
        for other in numbers[1:]:
            near.setdefault(numbers[0], []).append(other)
            near.setdefault(other, []).append(numbers[0])
    return {number: list(dict.fromkeys(others)) for number, others in near.items()}


class Numbered:
    """Looks up what else a form is called and what lies near it, in numbered groups. A subclass says where they are."""

    def numbers(self, key: str) -> Sequence[int]:
        """The groups that have a form with the key."""
        raise NotImplementedError

    def group(self, number: int) -> tuple[Name, ...]:
        """The names of a group."""
        raise NotImplementedError

    def near(self, number: int) -> Sequence[int]:
        """The groups near a group."""
        raise NotImplementedError

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """The ideas that a form may name; `key` is the form's atoms joined by blanks, `spelling` its words so."""
        return [
            Sense(tuple(n for n in group if n not in same), all(name.ambiguous for name in same))
            for _, group, same in _meant(map(self.group, self.numbers(key)), key, spelling)
        ]

    def related(self, key: str, spelling: str = "", but: Iterable[str] = ()) -> list[tuple[Name, ...]]:
        """The groups near the ideas that a form names for sure, each once, without those that have one of the keys
        `but`; `key` and `spelling` as for senses()."""
        numbers = self.numbers(key)
        if not any(len(self.near(number)) for number in numbers):
            return []
        near = dict.fromkeys(
            other
            for at, _, same in _meant(map(self.group, numbers), key, spelling)
            if not all(name.ambiguous for name in same)
            for other in self.near(numbers[at])
        )
        without = {number for other in (key, *but) for number in self.numbers(other)}
        return [self.group(number) for number in near if number not in without]

    def meanings(self, word: str) -> list[str]:
        """What a general dictionary makes of a word: a glossary is none."""
        return []


class Glossary(Numbered):
    """A glossary read from text."""

    def __init__(self, groups: Iterable[tuple[Name, ...]], related: Iterable[tuple[Name, ...]] = ()) -> None:
        self._groups: list[tuple[Name, ...]] = []
        self._by_key: dict[str, list[int]] = {}
        for group in groups:
            number = len(self._groups)
            self._groups.append(group)
            for name in group:
                numbers = self._by_key.setdefault(key_of(name.text), [])
                if number not in numbers:
                    numbers.append(number)
        self._near = relations_of(self._groups, related)

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def numbers(self, key: str) -> Sequence[int]:
        return self._by_key.get(key, ())

    def group(self, number: int) -> tuple[Name, ...]:
        return self._groups[number]

    def near(self, number: int) -> Sequence[int]:
        return self._near.get(number, ())


class Remembered:
    """A Lookup that remembers what it was asked."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[str, bool] = {}
        self._senses: dict[tuple[str, str], list[Sense]] = {}
        self._related: dict[tuple[str, ...], list[tuple[Name, ...]]] = {}
        self._meanings: dict[str, list[str]] = {}

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        known = self._known.get(key)
        return kept(self._known, key, lambda: key in self._lookup) if known is None else known

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """As Numbered.senses()."""
        return kept(self._senses, (key, spelling), lambda: self._lookup.senses(key, spelling))

    def related(self, key: str, spelling: str = "", but: Iterable[str] = ()) -> list[tuple[Name, ...]]:
        """As Numbered.related()."""
        but = tuple(but)
        return kept(self._related, (key, spelling, *but), lambda: self._lookup.related(key, spelling, but))

    def meanings(self, word: str) -> list[str]:
        """As Numbered.meanings()."""
        return kept(self._meanings, word, lambda: self._lookup.meanings(word))


def kept(known: dict[Key, Value], key: Key, find: Callable[[], Value]) -> Value:
    """What was found for a key before, or is found now."""
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
    """The glossary files of the package that hold groups, in a fixed order."""
    folder = os.path.dirname(__file__)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".tsv") and name != RELATED)
    return [os.path.join(folder, name) for name in names]


def related_source() -> str:
    """The file of the package that says which groups lie near each other."""
    return os.path.join(os.path.dirname(__file__), RELATED)


def signature_of(paths: Iterable[str]) -> str:
    """Tells two states of the files apart without reading them: the compiled form is made from one of them."""
    states = ((os.path.basename(path), os.stat(path)) for path in paths)
    return " ".join(f"{name}:{state.st_size}:{state.st_mtime_ns}" for name, state in states)


def read_groups(paths: Iterable[str]) -> Iterator[tuple[Name, ...]]:
    """The groups of glossary files."""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from parse_groups(file.read().split("\n"))


class Combined:
    """Look-ups one after the other: the user's own terms, the package's glossary, a general dictionary."""

    def __init__(self, parts: Iterable[Lookup]) -> None:
        self.parts = tuple(parts)

    def __contains__(self, key: object) -> bool:
        return any(key in part for part in self.parts)

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """The senses of all parts."""
        return [sense for part in self.parts for sense in part.senses(key, spelling)]

    def related(self, key: str, spelling: str = "", but: Iterable[str] = ()) -> list[tuple[Name, ...]]:
        """The groups that any part has near it."""
        return [group for part in self.parts for group in part.related(key, spelling, but)]

    def meanings(self, word: str) -> list[str]:
        """The meanings of all parts."""
        return [meaning for part in self.parts for meaning in part.meanings(word)]


_shipped: Lookup | None = None


def shipped() -> Lookup:
    """The glossary of the package, read on first use."""
    global _shipped
    if _shipped is None:
        _shipped = Glossary(read_groups(sources()), read_groups([related_source()]))
    return _shipped


DICTIONARY_FILE = "dictionary.bin"
"""In an index folder, if there is a general dictionary: only then what reads it is loaded."""


def shipped_in(folder: str, *, anew: bool = False) -> Lookup:
    """The glossary of the package, compiled into an index folder where that can be written."""
    from papersearch.glossary.compiled import open_compiled

    paths, related = sources(), related_source()
    signature = signature_of([*paths, related])
    read = lambda: (read_groups(paths), read_groups([related]))  # noqa: E731 - one line, used once
    return open_compiled(folder, signature, read, anew=anew) or shipped()
