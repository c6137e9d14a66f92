"""The grammar of a heading: title, aliases, venue, year, orgs. Read by builds only, so that no query compiles it."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from papersearch.record import Record
from papersearch.venues import KNOWN_YEARLESS, canonical_venue

MAX_ALIAS_WORDS = 4
MAX_ALIAS_LENGTH = 40
MAX_GROUPS = 16
LONGEST_VENUE = 80
"""Characters of a group that may name a venue."""


class Heading(Record):
    """What the words of a heading say."""

    title: str
    aliases: tuple[str, ...] = ()
    venue: str | None = None
    venue_raw: str | None = None
    year: int | None = None
    orgs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def dated(self) -> bool:
        """Whether a trailing group names a venue or a year: the mark of a paper."""
        return self.venue is not None or self.year is not None


_GROUP = re.compile(r"[\[［【]([^\[\]［］【】]*)[\]］】](\([^()\s]*\))?\s*$")
_LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]\(((?:[^()\\]|\\.|\([^()]*\))*)\)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_ESCAPED = 0xF0000
"""Escaped characters wait in the private planes while marks are read."""
_HIDDEN = re.compile(f"[{chr(_ESCAPED)}-{chr(_ESCAPED + 127)}]")
_MARKS = re.compile(r"[\\\[*_~`]")
_LINKED_GROUP = re.compile(r"[\[［【]\s*\[([^\[\]]*)\]\([^()\s]*\)\s*[\]］】]$")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|__?|~~|`+)(?=\S)(.+?)(?<=\S)\1(?![\w*])")
_QUOTES = str.maketrans(dict.fromkeys("’‘`´′＇ʼ", "'"))
_DATED = re.compile(
    r"^(?P<name>.*?[^\W\d_][^\d]*?)\s*(?P<mark>['\-,: ]?)\s*(?P<year>(?:19|20)\d\d|\d\d)"
    r"(?:\s*[(（]?(?:oral|spotlight|highlight|poster|workshops?|findings|long|short|demo|best paper[\w ]*|award)"
    r"[)）]?)?$",
    re.IGNORECASE,
)
_ARXIV_NUMBER = re.compile(r"^(arxiv)[: ]*([0-2]\d)(?:0[1-9]|1[0-2])\.\d{4,5}(?:v\d+)?$", re.IGNORECASE)
_YEAR = re.compile(r"^'?((?:19|20)\d\d)$")
_ORG_SPLIT = re.compile(r"\s*[,，、;；/／]\s*")
_LINK_LABELS = frozenset(
    "paper pdf code project page link website blog video slides github arxiv链接 论文 代码 项目".split()  # noqa: SIM905
)
_SURVEY = re.compile(r"^(an?|the)?\s*(comprehensive |systematic |brief |short |critical |literature )*"
                     r"(survey|review|overview|tutorial|introduction|primer|综述)\b", re.IGNORECASE)  # fmt: skip
_COLON = re.compile(r"[:：]\s*")
_TRAILING_PARENS = re.compile(r"[(（]\s*([^()（）]+?)\s*[)）]\s*$")


def plain(source: str) -> str:
    """Inline Markdown as the words a reader sees: link texts, no emphasis marks, escapes undone."""
    if not _MARKS.search(source):
        return source.strip()
    hide = "\\" in source and not _HIDDEN.search(source)
    text = _ESCAPE.sub(lambda m: chr(_ESCAPED + ord(m.group(1))), source) if hide else source
    text = _LINK.sub(lambda m: m.group(1), text)
    for _ in range(3):
        text, n = _EMPHASIS.subn(lambda m: m.group(2), text)
        if not n:
            break
    if not hide:
        return _ESCAPE.sub(r"\1", text).strip()
    return _HIDDEN.sub(lambda m: chr(ord(m.group()) - _ESCAPED), text).strip()


def four_digits(year: str) -> int:
    """'22 is 2022, '98 is 1998: two digits name the nearest century of computing."""
    value = int(year)
    if len(year) == 4:
        return value
    return 1900 + value if value >= 60 else 2000 + value


@lru_cache(maxsize=4096)
def _venue_of(group: str) -> tuple[str, str | None, int | None] | None:
    """(as written, canonical, year) when the group names a venue or a year."""
    text = unicodedata.normalize("NFKC", group.translate(_QUOTES)).strip()
    if len(text) > LONGEST_VENUE:
        return None
    if year := _YEAR.match(text):
        return "", None, int(year.group(1))
    if found := _ARXIV_NUMBER.match(text):
        return found.group(1), "arXiv", four_digits(found.group(2))
    if found := _DATED.match(text):
        name = found["name"].strip(" '-,:")
        known = canonical_venue(name)
        certain = len(found["year"]) == 4 or found["mark"] == "'"
        if name and len(name) <= 60 and (known or (certain and len(_ORG_SPLIT.split(name)) == 1)):
            return name, known or name, four_digits(found["year"])
    known = canonical_venue(text)
    if known and (known in KNOWN_YEARLESS or text.casefold() == known.casefold()):
        return text, known, None
    return None


def _alias_before_colon(title: str) -> str | None:
    parts = _COLON.split(title, maxsplit=1)
    if len(parts) < 2 or not parts[1].strip():
        return None
    head = parts[0].strip()
    short = len(head.split()) <= MAX_ALIAS_WORDS and 0 < len(head) <= MAX_ALIAS_LENGTH
    return head if short and any(c.isalnum() for c in head) and not _SURVEY.match(parts[1]) else None


def _alias_in_parens(title: str) -> str | None:
    found = _TRAILING_PARENS.search(title)
    if not found or not title[: found.start()].strip():
        return None
    inner = found.group(1)
    named = len(inner.split()) == 1 and any(c.isupper() or c.isdigit() for c in inner)
    return inner if named and len(inner) <= MAX_ALIAS_LENGTH and canonical_venue(inner) is None else None


@lru_cache(maxsize=1 << 14)
def parse_heading(source: str) -> Heading:
    """Read a heading's inline Markdown, e.g. `DBNet: Real-time …[AAAI'20][HUST]`.

    Only groups at the very end are groups; a heading that is nothing but a group is its own title.
    """
    rest, groups = re.sub(r"(?<=\s)#+\s*$", "", source.strip()).rstrip(), list[str]()
    while len(groups) < MAX_GROUPS:
        rest = _LINKED_GROUP.sub(r"[\1]", rest)
        found = _GROUP.match(rest, max(0, *(rest.rfind(c) for c in "[［【")))
        if found is None:
            break
        before, label = rest[: found.start()].rstrip(), plain(found.group(1))
        if not before or before.endswith("\\") or not label:
            break
        if found.group(2) and before.endswith("!"):
            break  # an image
        if found.group(2) and _venue_of(label) is None and label.casefold() not in _LINK_LABELS:
            break
        groups.append(label)
        rest = before
    groups.reverse()
    title = plain(rest) or source.strip()

    venue = venue_raw = None
    year: int | None = None
    orgs: list[str] = []
    for group in groups:
        whole = _venue_of(group)
        for part in [group] if whole else _ORG_SPLIT.split(group):
            dated = whole or _venue_of(part)
            if dated and ((venue is None and dated[1]) or (year is None and dated[2])):
                venue, venue_raw = venue or dated[1], venue_raw or dated[0] or None
                year = year or dated[2]
            elif part.strip() and part.strip().casefold() not in _LINK_LABELS:
                orgs.append(part.strip())
    aliases = [a for a in (_alias_before_colon(title), _alias_in_parens(title)) if a]
    return Heading(title, tuple(dict.fromkeys(aliases)), venue, venue_raw, year, tuple(orgs), tuple(groups))
