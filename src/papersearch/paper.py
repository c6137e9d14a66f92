"""Paper: what we search for and return."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal

from papersearch.record import Record

ID_LENGTH = 8


class Section(Record):
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


class Paper(Record):
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
