"""Paper, what we search for and return, and the grammar of its heading: title, aliases, venue, year, orgs."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Literal

from papersearch.venues import KNOWN_YEARLESS, canonical_venue

MAX_ALIAS_WORDS = 4
MAX_ALIAS_LENGTH = 40
ID_LENGTH = 8


@dataclass(frozen=True)
class Section:
    """A stretch of one note that belongs to a paper: its own bullets, or the whole of a companion note.

    `text` is the source as written, lines joined by a line feed; `line` is the number of its first line, from 1.
    """

    path: str
    line: int
    text: str
    companion: bool = False

    @property
    def end_line(self) -> int:
        return self.line + self.text.count("\n")


@dataclass(frozen=True)
class Paper:
    """One paper of a digest, or (`kind` "note") a stretch of Markdown that stands outside every paper.

    `line` and `end_line` count from 1 in the raw file and span the heading and the paper's own notes.
    `context` is the text that belongs to the paper's search text without being its title or notes: the headings
    above it, outermost first, and the bracket groups of its heading as written.
    """

    id: str
    title: str
    path: str
    line: int
    end_line: int
    kind: Literal["paper", "note"] = "paper"
    aliases: tuple[str, ...] = ()
    category: str | None = None
    venue: str | None = None
    venue_raw: str | None = None
    year: int | None = None
    orgs: tuple[str, ...] = ()
    bullets: int = 0
    links: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """What `has:` can ask for."""
        own = any(not s.companion and s.text.strip() for s in self.sections)
        held = {
            "notes": own,
            "links": bool(self.links),
            "companion": any(s.companion for s in self.sections),
            "alias": bool(self.aliases),
            "venue": self.venue is not None,
            "year": self.year is not None,
            "org": bool(self.orgs),
        }
        return tuple(name for name, yes in held.items() if yes)

    def stored(self) -> dict[str, Any]:
        """All of the paper that does not change when other papers are added, removed or moved: no line numbers
        of its own file, so that an edit above it leaves it as it was."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "aliases": list(self.aliases),
            "category": self.category,
            "venue": self.venue,
            "venue_raw": self.venue_raw,
            "year": self.year,
            "orgs": list(self.orgs),
            "bullets": self.bullets,
            "links": list(self.links),
            "context": list(self.context),
            "sections": [
                {"path": s.path if s.companion else "", "line": s.line if s.companion else s.line - self.line,
                 "text": s.text, "companion": s.companion}
                for s in self.sections
            ],
        }  # fmt: skip

    @classmethod
    def from_stored(cls, data: dict[str, Any], path: str, line: int, end_line: int) -> Paper:
        """The paper of which `stored()` was kept, at its place of today."""
        return cls(
            id=data["id"],
            kind=data["kind"],
            title=data["title"],
            path=path,
            line=line,
            end_line=end_line,
            aliases=tuple(data["aliases"]),
            category=data["category"],
            venue=data["venue"],
            venue_raw=data["venue_raw"],
            year=data["year"],
            orgs=tuple(data["orgs"]),
            bullets=data["bullets"],
            links=tuple(data["links"]),
            context=tuple(data["context"]),
            sections=tuple(
                Section(s["path"] if s["companion"] else path, s["line"] if s["companion"] else s["line"] + line,
                        s["text"], s["companion"])
                for s in data["sections"]
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Heading:
    """What the words of a heading say."""

    title: str
    aliases: tuple[str, ...] = ()
    venue: str | None = None
    venue_raw: str | None = None
    year: int | None = None
    orgs: tuple[str, ...] = ()
    groups: tuple[str, ...] = field(default=())

    @property
    def dated(self) -> bool:
        """Whether a trailing group names a venue or a year: the mark of a paper."""
        return self.venue is not None or self.year is not None


_GROUP = re.compile(r"[\[［【]([^\[\]［］【】]*)[\]］】](\([^()\s]*\))?\s*$")
_LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]\(((?:[^()\\]|\\.|\([^()]*\))*)\)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|__?|~~|`+)(?=\S)(.+?)(?<=\S)\1(?![\w*])")
_QUOTES = str.maketrans(dict.fromkeys("’‘`´′＇ʼ", "'"))
_DATED = re.compile(
    r"^(?P<name>.*?[^\W\d_][^\d]*?)\s*(?P<mark>['\-,: ]?)\s*(?P<year>(?:19|20)\d\d|\d\d)"
    r"(?:\s*[(（]?(?:oral|spotlight|highlight|poster|workshops?|findings|long|short|demo|best paper[\w ]*|award)[)）]?)?$",
    re.IGNORECASE,
)
_ARXIV_NUMBER = re.compile(r"^(arxiv)[: ]*([0-2]\d)(?:0[1-9]|1[0-2])\.\d{4,5}(?:v\d+)?$", re.IGNORECASE)
_YEAR = re.compile(r"^'?((?:19|20)\d\d)$")
_ORG_SPLIT = re.compile(r"\s*[,，、;；/／]\s*")
_LINK_LABELS = frozenset(
    ["paper", "pdf", "code", "project", "page", "link", "arxiv链接", "论文", "代码", "项目", "website", "blog", "video", "slides", "github"]
)
_SURVEY = re.compile(r"^(an?|the)?\s*(comprehensive |systematic |brief |short |critical |literature )*"
                     r"(survey|review|overview|tutorial|introduction|primer|综述)\b", re.IGNORECASE)  # fmt: skip
_COLON = re.compile(r"[:：]\s*")
_TRAILING_PARENS = re.compile(r"[(（]\s*([^()（）]+?)\s*[)）]\s*$")


def plain(source: str) -> str:
    """Inline Markdown as the words a reader sees: link texts, no emphasis marks, escapes undone."""
    text = _LINK.sub(lambda m: m.group(1), source)
    for _ in range(3):
        text, n = _EMPHASIS.subn(lambda m: m.group(2), text)
        if not n:
            break
    return _ESCAPE.sub(r"\1", text).strip()


def four_digits(year: str) -> int:
    """'22 is 2022, '98 is 1998: two digits name the nearest century of computing."""
    value = int(year)
    if len(year) == 4:
        return value
    return 1900 + value if value >= 60 else 2000 + value


def _venue_of(group: str) -> tuple[str, str | None, int | None] | None:
    """(as written, canonical, year) when the group names a venue or a year."""
    text = unicodedata.normalize("NFKC", group).translate(_QUOTES).strip()
    if year := _YEAR.match(text):
        return "", None, int(year.group(1))
    if found := _ARXIV_NUMBER.match(text):
        return found.group(1), "arXiv", four_digits(found.group(2))
    if found := _DATED.match(text):
        name = found["name"].strip(" '-,:")
        known = canonical_venue(name)
        certain = len(found["year"]) == 4 or found["mark"] == "'"
        if name and len(name) <= 60 and (known or certain):
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


def parse_heading(source: str) -> Heading:
    """Read a heading's inline Markdown, e.g. `DBNet: Real-time …[AAAI'20][HUST]`.

    Only groups at the very end are groups; a heading that is nothing but a group is its own title.
    """
    rest, groups = source.strip().rstrip("#").strip() if source.strip().strip("#") else source.strip(), []
    while found := _GROUP.search(rest):
        before, label = rest[: found.start()].rstrip(), plain(found.group(1))
        if not before or before.endswith(("!", "\\")) or not label:
            break
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


def identity(title: str, venue: str | None, year: int | None) -> str:
    """What makes two headings name the same paper: letters and digits of the title, canonical venue, year."""
    letters = "".join(c for c in unicodedata.normalize("NFKC", title).casefold() if c.isalnum())
    return f"{letters or title}|{(venue or '').casefold()}|{year or ''}"


def make_id(key: str) -> str:
    """A short id: 40 bits of SHA-256 as eight of the 32 characters that are hard to mistake for each other.

    Among 100,000 papers the chance of any clash is under 1 in 200, and a clash only costs the second one a suffix.
    """
    import hashlib  # only a build makes ids

    value = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:5], "big")
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[value >> shift & 31] for shift in range(35, -1, -5))
