"""The user's own terms: `terms.txt` in the corpus folder, in the format of the glossary.

A line with several forms is a group of names for one idea; a line with one form is a word that Chinese text is not to
be cut through. A line that cannot be read is left out, and a notice names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from papersearch.glossary import AMBIGUOUS, Name, key_atoms, parse_groups

LONGEST_FORM = 64
MOST_LINES = 20_000


class Terms(NamedTuple):
    """What a terms file holds: groups as written, words to keep whole, (line, what is wrong with it)."""

    groups: tuple[tuple[str, ...], ...] = ()
    words: tuple[str, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()


def parse_terms(text: str) -> Terms:
    """Read the text of a terms file. Never raises."""
    groups: list[tuple[str, ...]] = []
    words: list[str] = []
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if number > MOST_LINES:
            problems.append((number, f"more than {MOST_LINES} lines; the rest was left out"))
            break
        forms = [form.strip() for form in line.split("|")]
        problem = _problem(forms)
        if problem:
            problems.append((number, f"{problem}; the line was left out"))
            continue
        words += [form for form in forms if len(key_atoms(form)) == 1 and not form.isascii()]
        if len(forms) > 1:
            groups.append(tuple(forms))
    return Terms(tuple(groups), tuple(dict.fromkeys(w.removesuffix(AMBIGUOUS) for w in words)), tuple(problems))


def _problem(forms: Sequence[str]) -> str:
    for form in forms:
        bare = form.removesuffix(AMBIGUOUS).strip()
        if not bare:
            return "a form is empty (write a|b, without | at the ends)"
        if len(bare) > LONGEST_FORM:
            return f"a form has more than {LONGEST_FORM} characters"
        if not key_atoms(bare):
            return f"{bare!r} has no letter or digit"
    if len({" ".join(key_atoms(form)) for form in forms}) < len(forms):
        return "a form stands twice"
    return ""


def groups_of(rows: Iterable[Sequence[str]]) -> list[tuple[Name, ...]]:
    """Groups as an index keeps them, read again."""
    return [group for row in rows for group in parse_groups(["|".join(map(str, row))])]
