"""Files → Papers. Block structure comes from markdown-it; every word of text is taken from the source lines."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import blake2b
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.common.utils import mdTrim
from markdown_it.token import Token

from papersearch.files import (
    SUFFIXES,
    TERMS_NAME,
    Notice,
    cut,
    decode,
    digest_of_pieces,
    read_bytes,
    root_names,
    scan,
)
from papersearch.heading import Heading, parse_heading, plain
from papersearch.paper import Paper, Section, identity, make_id
from papersearch.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from papersearch.files import Stat

MAX_NESTING = 100
"""Deeper block structure is read as text; markdown-it drops what lies deeper than its limit, we do not (source
lines)."""

_LINE_END = re.compile(r"\r\n?|\n")
_BARE_URL = re.compile(r"https?://[^\s<>\"'（），。；、】」》]+")
_LOOSE_LINK = re.compile(r"\[[^\[\]\n]*\]\(\s*([^()\n]+?\.(?:md|markdown))(?:#[^()\n]*)?\s*\)", re.IGNORECASE)
_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.\-]*:|^//")
_NUMBERED = re.compile(r"^\s*(?:\d+(?:\.\d+)*[.、\s)]|[（(]?[一二三四五六七八九十\d]+[)）、.]|第\S{1,3}[章节])")
_MARKERS = re.compile(r"(?:[ \t]*(?:>|(?:[-*+]|\d{1,9}[.)])(?=[ \t])))+")
_MARKER = re.compile(r"[-*+>]|\d{1,9}[.)]")
DEEPEST_INDENT = 60
DEEPEST_MARKERS = 10
"""A list 30 deep with 10 more markers on one line still keeps below MAX_NESTING."""
DEEPEST_BRACKETS = 20
"""Links in more brackets and emphasis than that are not looked for: each bracket that is never closed is followed so
far."""
_FRONT_MATTER_LIMIT = 200
_ATX = re.compile(r"#{1,6}(?:[ \t]|$)")
_NOTE_SUFFIX = re.compile("|".join([*map(re.escape, SUFFIXES), "[%&]"]), re.IGNORECASE)
_NEEDS_PARSER = re.compile(r"\n(?: {0,3}(?:```|~~~|<|(?:=+|-+)[ \t]*(?:\n|$))| {1,3}#)")
"""A line that may open a fence or raw HTML, underline a heading, or be an indented one. To begin with what every line
begins with makes looking for it several times as fast as `^` does."""
_PLAIN_LIST = re.compile(r"(?:#{1,6}[ \t][^\n]*\n)?\n*(?:- [^\s-][^\n]*\n(?:  [^\n]*\n|\n)*)*")
"""A heading and items of one list, each with its indented lines: most papers are written so. What is indented by
two, or stands on the line of an item, is within that item, whatever it is; only `- --` would be a rule."""
_ITEM = re.compile(r"^- ", re.MULTILINE)
_MAYBE_DEEP = re.compile(r"\n[ \t>\-*+0-9.)]{11}")


@dataclass
class Corpus:
    """All papers of a corpus in reading order, and what was remarked while reading."""

    papers: list[Paper] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    """What tells the source of each paper, 0 where it depends on other notes."""
    links: list[tuple[str, str]] = field(default_factory=list)
    """(note, another note that it links to)."""
    outlines: dict[str, bytes] = field(default_factory=dict)
    """Path → what read_edited() wants to know of a note."""


# ---- from text to structure


def _without_punctuation(url: str) -> str:
    """A bare URL without the sentence's punctuation after it; a closing bracket stays if it was opened inside."""
    end, unopened = len(url), url.count(")") - url.count("(")
    while end and (url[end - 1] in ".,;:!?*]" or (url[end - 1] == ")" and unopened > 0)):
        end -= 1
        unopened -= url[end] == ")"
    return url[:end]


class _Parser(MarkdownIt):
    """Block structure only; links keep the spelling of the source."""

    def __init__(self, nesting: int) -> None:
        super().__init__("commonmark", {"maxNesting": nesting})
        self.core.ruler.enableOnly(["normalize", "block"])

    def normalizeLink(self, url: str) -> str:
        return url

    def normalizeLinkText(self, link: str) -> str:
        return link

    def links(self, content: str, env: dict[str, object]) -> Iterator[str]:
        """Link targets and bare URLs of one inline run, in order, as written.

        Links to notes whose path has a blank are taken too: Markdown does not read them as links, people write them.
        """
        children: list[Token] = []
        self.inline.parse(content, self, env, children)
        found: list[str] = []
        for token in children:
            if token.type == "link_open":
                found.append(str(token.attrs.get("href", "")))
            elif token.type == "text":
                found += (_without_punctuation(url) for url in _BARE_URL.findall(token.content))
        if " " in content and "](" in content:
            known = set(found)
            found += [target for target in dict.fromkeys(_LOOSE_LINK.findall(content)) if target not in known]
        yield from found


@dataclass
class _Head:
    """A heading at the top level of a note, with its place in the outline."""

    level: int
    start: int
    stop: int
    source: str
    heading: Heading
    end: int = 0
    parents: tuple[int, ...] = ()
    is_paper: bool = False


Above = Sequence[tuple[int, str]]
"""Level and source of the headings that something stands under, outermost first."""


class _Part:
    """Lines [start, stop) of a note, with what they are made of. Parsed when that is asked for."""

    __slots__ = ("_known", "_text", "start", "stop")

    def __init__(self, text: str, start: int, stop: int, known: _Outline | None = None) -> None:
        self._text, self._known = text, known
        self.start, self.stop = start, stop

    @property
    def outline(self) -> _Outline:
        if self._known is None:
            self._known = _outline_of_list(self._text) or _outline(self._text)
        return self._known

    @property
    def is_parsed(self) -> bool:
        return self._known is not None

    @property
    def may_link_to_a_note(self) -> bool:
        """Whether there is a link, and a suffix of notes or what may be made of one."""
        linking = "](" in self._text if self._known is None else bool(self._known.links)
        return linking and bool(_NOTE_SUFFIX.search(self._text))


class Note:
    """One Markdown file, read and taken apart, or a stretch of it: then its first `given` headings are those that the
    stretch stands under."""

    def __init__(self, path: str, lines: list[str], heads: list[_Head], parts: Sequence[_Part], given: int = 0) -> None:
        self.path = path
        self.lines = lines
        self.heads = heads
        self.given = given
        self._parts = parts
        self._starts = [part.start for part in parts]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def dated(self) -> list[_Head]:
        return [head for head in self.heads if head.heading.dated]

    @property
    def links(self) -> list[tuple[int, str]]:
        """(line, target) of all links."""
        return self.links_between(0, len(self.lines))

    @property
    def bullets(self) -> list[int]:
        """Lines of the list items at the top level."""
        return self.bullets_between(0, len(self.lines))

    def links_between(self, first: int, stop: int) -> list[tuple[int, str]]:
        """(line, target) of the links in lines [first, stop)."""
        return [
            (part.start + at, url)
            for part in self._parts_between(first, stop)
            for at, url in part.outline.links
            if first <= part.start + at < stop
        ]

    def links_to_notes(self) -> list[tuple[int, str]]:
        """(line, target) of links, among them all that may lead to a note."""
        parts = [part for part in self._parts if part.may_link_to_a_note]
        return [(part.start + at, url) for part in parts for at, url in part.outline.links]

    def bullets_between(self, first: int, stop: int) -> list[int]:
        """Lines of the list items at the top level in lines [first, stop)."""
        return [
            part.start + at
            for part in self._parts_between(first, stop)
            for at in part.outline.bullets
            if first <= part.start + at < stop
        ]

    @property
    def defines(self) -> bool:
        """Whether it defines references."""
        return any(part.is_parsed and part.outline.defines for part in self._parts)

    @property
    def is_open(self) -> bool:
        """Whether what comes after it may be swallowed."""
        return self._parts[-1].is_parsed and self._parts[-1].outline.is_open

    def _parts_between(self, first: int, stop: int) -> Sequence[_Part]:
        return self._parts[max(bisect_right(self._starts, first) - 1, 0) : bisect_left(self._starts, stop)]


def _without_front_matter(lines: list[str]) -> list[str]:
    """The lines with a leading YAML block blanked, so that its end is not read as a heading's underline."""
    if not lines or lines[0].rstrip() != "---":
        return lines
    for i, line in enumerate(lines[1:_FRONT_MATTER_LIMIT], 1):
        if line.rstrip() in ("---", "..."):
            return [""] * (i + 1) + lines[i + 1 :]
    return lines


def _without_depth(lines: list[str]) -> list[str]:
    """The lines with nothing nested so deep that the parser would give up and swallow the rest of the file."""
    flat = []
    for line in lines:
        if line[:1] in " \t>-*+0123456789":
            markers = _MARKERS.match(line)
            if markers and len(_MARKER.findall(markers.group())) > DEEPEST_MARKERS:
                line = line[markers.end() :]
            indent = len(line) - len(line.lstrip(" \t"))
            if len(line[:indent].expandtabs(4)) > DEEPEST_INDENT:
                line = " " * DEEPEST_INDENT + line[indent:]
        flat.append(line)
    return flat


class _Outline(Record):
    """What a stretch of Markdown is made of; lines count from its first one."""

    heads: tuple[tuple[int, int, int, str], ...] = ()
    """Level, first line, line after it and source of each heading at the top level."""
    bullets: tuple[int, ...] = ()
    links: tuple[tuple[int, str], ...] = ()
    defines: bool = False
    """Whether it defines references, which hold for all of the file."""
    is_open: bool = False
    """Whether it may end inside a fence or raw HTML, which then goes on."""


def _outline_of_list(text: str) -> _Outline | None:
    """The outline of a part that is a heading and a plain list without links; None of any other. What _outline() finds
    there, without the parser."""
    may_link = "](" in text or "://" in text or ("][" in text and "<" in text)
    if may_link or not _PLAIN_LIST.fullmatch(text + "\n"):
        return None
    starts = [item.start() for item in _ITEM.finditer(text)]
    bullets: list[int] = []
    line = at = 0
    for start in starts:
        line, at = line + text.count("\n", at, start), start
        bullets.append(line)
    return _Outline(_first_head(text.partition("\n")[0]), tuple(bullets))


def _outline(text: str) -> _Outline:
    parser, env = _parser(), dict[str, object]()
    tokens = parser.parse(text + "\n", env)  # so that a blank line at the end is one
    heads: list[tuple[int, int, int, str]] = []
    links: list[tuple[int, str]] = []
    bullets: list[int] = []
    last: Token | None = None
    for i, token in enumerate(tokens):
        if token.map is None:
            continue
        if token.level == 0:
            last = token
        if token.type == "heading_open" and token.level == 0:
            heads.append((int(token.tag[1]), token.map[0], token.map[1], tokens[i + 1].content))
        elif token.type == "list_item_open" and token.level == 1:
            bullets.append(token.map[0])
        elif token.type == "inline" and ("](" in token.content or "][" in token.content or "://" in token.content
                                         or ("]" in token.content and "references" in env)):  # fmt: skip
            links.extend((token.map[0], url) for url in _parser(DEEPEST_BRACKETS).links(token.content, env) if url)
    reaches_end = last is not None and last.map is not None and last.map[1] > text.count("\n")
    is_open = reaches_end and last is not None and last.type in ("fence", "html_block")
    return _Outline(tuple(heads), tuple(bullets), tuple(links), "references" in env, is_open)


@cache
def _parser(nesting: int = MAX_NESTING) -> _Parser:
    return _Parser(nesting)


def _parts(lines: Sequence[str]) -> list[_Part]:
    """The file, cut before headings that nothing can swallow: `#` at the begin of a line, unless a fence or raw HTML
    is open there. What a part is made of depends on its text alone, and most need no parser to know their headings.
    """
    cuts = [0, *(n for n, line in enumerate(lines) if n and line[:1] == "#" and _ATX.match(line)), len(lines)]
    parts: list[_Part] = []
    i, last = 0, len(cuts) - 1
    while i < last:
        j = i + 1
        text = "\n".join(lines[cuts[i] : cuts[j]])
        known: _Outline | None = None
        if "]:" in text or _NEEDS_PARSER.search(f"\n{text}"):  # it may define a reference, or …
            known = _outline(text)
            while known.is_open and j < last:
                j = min(2 * j - i, last)  # twice as many each time: what is never closed does not cost the square
                text = "\n".join(lines[cuts[i] : cuts[j]])
                known = _outline(text)
            if known.defines and (i or j < last):
                text = "\n".join(lines)
                return [_Part(text, 0, len(lines), _outline(text))]
        parts.append(_Part(text, cuts[i], cuts[j], known))
        i = j
    return parts


def _first_head(line: str) -> tuple[tuple[int, int, int, str], ...]:
    """The heading that begins with `#` in the first line of a part, as in an outline; nothing if there is none."""
    if not _ATX.match(line):
        return ()
    rest = line.lstrip("#")
    source = rest.rstrip(" \t")
    without_closing = source.rstrip("#")
    if without_closing.endswith((" ", "\t")):
        source = without_closing
    return ((len(line) - len(rest), 0, 1, mdTrim(source.replace("\0", "\ufffd"))),)


def _heads_of(part: _Part, lines: Sequence[str]) -> Iterable[tuple[int, int, int, str]]:
    """As in an outline; where only the first line can be a heading, without parsing the part."""
    if part.is_parsed:
        return part.outline.heads
    return _first_head(lines[part.start]) if part.start < part.stop else ()


def parse_note(path: str, text: str, above: Above = ()) -> Note:
    """Take one file apart, or a stretch of it that stands under some headings. `path` is relative to the corpus; line
    numbers inside count from 0."""
    lines = _LINE_END.split(text) if "\r" in text else text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    flat = _without_front_matter(lines)
    if _MAYBE_DEEP.search("\n".join(["", *lines]) if "\r" in text else f"\n{text}"):
        flat = _without_depth(flat)
    parts = _parts(flat)
    heads = [_Head(level, 0, 0, source, parse_heading(source)) for level, source in above]
    for number, head in enumerate(heads):
        head.parents = tuple(range(number))
    stack = list(range(len(heads)))
    for part in parts:
        for level, start, stop, source in _heads_of(part, flat):
            head = _Head(level, part.start + start, part.start + stop, source, parse_heading(source))
            while stack and heads[stack[-1]].level >= head.level:
                heads[stack.pop()].end = head.start
            head.parents = tuple(stack)
            stack.append(len(heads))
            heads.append(head)
    for index in stack:
        heads[index].end = len(lines)
    return Note(path, lines, heads, parts, len(above))


# ---- from structure to papers


def _mark_papers(note: Note, *, by_structure: bool) -> None:
    """Decide which headings are papers.

    A heading with a venue or a year is one, unless several such headings lie below it (then it is a category). A
    heading without (`### Welder: …`) is one where it stands at a level at which papers stand. What lies below a paper
    is a part of it.
    """
    below: Counter[int] = Counter()
    for head in note.heads:
        if head.heading.dated:
            below.update(head.parents)
    taken: set[int] = set()
    for i, head in enumerate(note.heads):
        if head.heading.dated and below[i] < 2 and not taken.intersection(head.parents):
            head.is_paper = True
            taken.add(i)
    levels = {head.level for head in note.heads if head.is_paper}
    if by_structure and not levels:
        levels = {_structural_level(note)} - {0}
    holding = {parent for head in note.heads if head.is_paper for parent in head.parents}
    for i, head in enumerate(note.heads):
        if head.level in levels and not head.is_paper and i not in holding and not taken.intersection(head.parents):
            head.is_paper = True
            taken.add(i)


def _structural_level(note: Note) -> int:
    """The level at which a digest without any venue keeps its papers; 0 where the note is no such digest.

    It is one where the deepest headings stand under category headings, most of them have list notes or nothing below,
    and most read like titles of papers: three Latin words or more, or `Name: …`, and no section number.
    """
    if not note.heads:
        return 0
    level = max(head.level for head in note.heads)
    leaves = [head for head in note.heads if head.level == level]
    if len(leaves) < 2 or not all(head.parents for head in leaves):
        return 0
    bullets = set(note.bullets)

    def like_a_title(head: _Head) -> bool:
        words = re.findall(r"[A-Za-z][A-Za-z\-]+", head.heading.title)
        return not _NUMBERED.match(head.source) and (len(words) >= 3 or bool(head.heading.aliases))

    def like_notes(head: _Head) -> bool:
        body = [i for i in range(head.stop, head.end) if note.lines[i].strip()]
        return not body or body[0] in bullets

    fit = sum(like_a_title(head) and like_notes(head) for head in leaves)
    return level if fit * 5 >= len(leaves) * 3 else 0


def _trim(lines: Sequence[str], start: int, stop: int) -> tuple[int, int]:
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return start, stop


def _section(note: Note, start: int, stop: int, *, companion: bool = False) -> Section | None:
    start, stop = _trim(note.lines, start, stop)
    return Section(note.path, start + 1, "\n".join(note.lines[start:stop]), companion) if start < stop else None


_Kind = Literal["paper", "note"]


class _Sketch:
    """Where a paper stands in a note, before it is read: its heading and its own notes, the lines [start, stop)."""

    __slots__ = ("above", "head", "kind", "note", "start", "stop")

    def __init__(
        self, note: Note, head: _Head | None, start: int, stop: int, above: Sequence[_Head], kind: _Kind
    ) -> None:
        self.note, self.head, self.start, self.stop = note, head, start, stop
        self.above, self.kind = above, kind

    @property
    def first(self) -> int:
        """Its first line, from 0."""
        return self.head.start if self.head else self.start

    def source_key(self) -> int:
        """64 bits that tell what is written in the note about one paper from what is written about another, or was
        before an edit; above 0. What is made of it depends on nothing else, unless the note links to notes."""
        around = [self.kind, str(self.start - self.first), *(head.source for head in self.above), ""]
        text = "\n".join([*around, *self.note.lines[self.first : self.stop]])
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") or 1

    def paper(self, paper_id: str = "") -> Paper:
        """The paper, with its own notes."""
        note, head, above, first = self.note, self.head, self.above, self.first
        heading = head.heading if head else Heading(PurePosixPath(note.path).stem)
        section = _section(note, self.start, self.stop)
        context = [h.source for h in above] + list(heading.groups)
        if head and "](" in head.source:
            context.append(head.source)
        return Paper(
            id=paper_id,
            title=heading.title,
            path=note.path,
            line=first + 1,
            end_line=max(section.end_line if section else 0, head.stop if head else 0, first + 1),
            kind=self.kind,
            aliases=heading.aliases,
            category=plain(above[-1].source) if above else None,
            venue=heading.venue,
            venue_raw=heading.venue_raw,
            year=heading.year,
            orgs=heading.orgs,
            bullets=len(note.bullets_between(self.start, self.stop)),
            links=tuple(dict.fromkeys(url for _, url in note.links_between(first, self.stop))),
            context=tuple(context),
            sections=(section,) if section else (),
        )


def _has_words(lines: Iterable[str]) -> bool:
    return any(c.isalnum() for line in lines for c in line)


def _holding(note: Note) -> set[int]:
    """Numbers of the headings that papers stand under."""
    return {parent for head in note.heads if head.is_paper for parent in head.parents}


def _sketches(note: Note, holding: Container[int]) -> Iterator[_Sketch]:
    """Papers of a digest in order; text outside of all of them becomes notes of its own, titled by the heading above
    it."""
    heads = note.heads
    if _has_words(note.lines[: heads[note.given].start]):
        yield _Sketch(note, None, 0, heads[note.given].start, (), "note")
    skip_until = 0
    for i, head in enumerate(heads):
        if head.start < skip_until or i < note.given:
            continue
        above = [heads[j] for j in head.parents]
        if head.is_paper:
            yield _Sketch(note, head, head.stop, head.end, above, "paper")
            skip_until = head.end
        elif i in holding:
            following = heads[i + 1].start if i + 1 < len(heads) else head.end
            if _has_words(note.lines[head.stop : following]):
                yield _Sketch(note, head, head.stop, following, above, "note")
        else:
            yield _Sketch(note, head, head.stop, head.end, above, "note")
            skip_until = head.end


def _whole_note(note: Note) -> _Sketch:
    """A file nobody links and without papers in it: one paper (its heading names an org or a venue) or note."""
    head = note.heads[0] if note.heads and not _has_words(note.lines[: note.heads[0].start]) else None
    kind: _Kind = "paper" if head and head.heading.groups else "note"
    return _Sketch(note, head, head.stop if head else 0, len(note.lines), (), kind)


def _is_digest_whoever_links_it(note: Note) -> bool:
    """Whether so many headings are papers that the file is a digest even if some paper links to it."""
    return len(note.dated) >= 3 and len(note.dated) * 2 > len(note.heads)


class Resolver:
    """Where a link in a note leads inside the corpus."""

    def __init__(self, paths: Iterable[str], *, whole_folder: bool = True) -> None:
        self.paths = set(paths)
        self._whole_folder = whole_folder

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Paths by the names of their files, without regard to case."""
        by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths if self._whole_folder else ():
            by_name[PurePosixPath(path).name.casefold()].append(path)
        return by_name

    def resolve(self, source: str, url: str) -> tuple[str | None, str | None]:
        """(path of the note it leads to, what is wrong with it). (None, None): no link to a note."""
        target = re.split(r"[?#]", url, maxsplit=1)[0]
        if not target or _SCHEME.match(url) or not unquote(target).lower().endswith(SUFFIXES):
            return None, None
        for spelled in dict.fromkeys((unquote(target), target)):
            parts = spelled.replace("\\", "/")
            joined = os.path.normpath(os.path.join(os.path.dirname(source), parts)).replace(os.sep, "/")
            if parts.startswith("/"):
                joined = parts.lstrip("/")
            if joined in self.paths:
                return joined, None
        name = PurePosixPath(unquote(target).replace("\\", "/")).name
        others = self.by_name.get(name.strip().casefold(), [])
        if len(others) == 1:
            return others[0], f"link to {url} leads nowhere; the only note of that name is {others[0]}"
        if others:
            return None, f"link to {url} leads nowhere, and {len(others)} notes have that name"
        return None, f"link to {url} leads nowhere"


def _missing_target(root: str, source: str, url: str) -> bool:
    """Whether a relative link to something that is no note has no file behind it."""
    target = unquote(re.split(r"[?#]", url, maxsplit=1)[0])
    if not target or _SCHEME.match(url) or "\0" in target:
        return False
    try:
        return not os.path.exists(os.path.join(root, os.path.dirname(source), target))
    except (OSError, ValueError):
        return True


class Row:
    """A paper as it was found in a note: `paper`, or what it was known by before, with `line` of today (from 1)."""

    __slots__ = ("key", "line", "paper")

    def __init__(self, key: int, line: int, paper: Paper | None) -> None:
        self.key, self.line, self.paper = key, line, paper

    def down(self, lines: int) -> Row:
        """The same so many lines further down its note."""
        paper = self.paper
        if paper is not None and lines:
            sections = tuple([section.replace(line=section.line + lines) for section in paper.sections])
            paper = paper.replace(line=paper.line + lines, end_line=paper.end_line + lines, sections=sections)
        return Row(self.key, self.line + lines, paper)


class Kept(Record):
    """What an index knows of a note that cannot be read now."""

    rows: tuple[Row, ...]
    links: tuple[str, ...]
    """Other notes that it links to."""
    text: str | None
    """All of it, where it is a companion: a paper holds it."""


class Readings(Record):
    """What notes are made of, together."""

    rows: dict[str, list[Row]]
    """Path → its papers in reading order; their ids lack ordinals."""
    notices: list[Notice]
    """Links that lead nowhere."""
    links: list[tuple[str, str]]
    """(note, another note that it links to), each once."""
    outlines: dict[str, bytes]
    """Path → what read_edited() wants to know of a note, of those of which it can make something."""


def read_together(
    notes: Sequence[Note],
    resolver: Resolver | None = None,
    known: Mapping[str, Container[int]] | None = None,
    kept: Mapping[str, Kept] | None = None,
    cuts: Mapping[str, Cut] | None = None,
) -> Readings:
    """Papers of notes that link to no others than each other, companions attached.

    `resolver`: of the paths of all notes of the corpus, if these are not all. `known`: path → source keys of papers
    that need not be read again. `kept`: path → what is known of a note that is not among these, and no companion.
    `cuts`: path → pieces of notes, for the outlines.
    """
    kept, cuts = kept or {}, cuts or {}
    resolver = resolver or Resolver(note.path for note in notes)
    by_path = {note.path: note for note in notes}
    notices: list[Notice] = []
    linked: dict[str, list[tuple[int, str]]] = {note.path: [] for note in notes}
    for note in notes:
        for line, url in note.links_to_notes():
            path, problem = resolver.resolve(note.path, url)
            if problem:
                notices.append(Notice(note.path, line + 1, problem, "link"))
            if path and path != note.path:
                linked[note.path].append((line, path))

    for note in notes:
        _mark_papers(note, by_structure=True)
    digests = {note.path for note in notes if any(head.is_paper for head in note.heads)}

    def may_be_companion(path: str) -> bool:
        return path in by_path and not _is_digest_whoever_links_it(by_path[path])

    held = (path for last in kept.values() for row in last.rows for path in _companions_of(row.paper))
    companions = set(filter(may_be_companion, held))
    for source in digests:
        ends = {head.start: head.end for head in by_path[source].heads if head.is_paper}
        starts = sorted(ends)
        for line, target in linked[source]:
            i = bisect_right(starts, line) - 1
            if i >= 0 and line < ends[starts[i]] and may_be_companion(target):
                companions.add(target)
    # Two notes whose papers link to each other would both vanish: the one with more papers stays a digest.
    for path in sorted(companions & digests, key=lambda p: (-len(by_path[p].dated), p)):
        sources = {source for source in digests if any(target == path for _, target in linked[source])}
        if sources and sources <= companions:
            companions.discard(path)

    def attachable(paths: Iterable[str]) -> list[Note]:
        notes = [by_path[path] for path in dict.fromkeys(paths) if path in companions]
        reached.update(note.path for note in notes if _has_words(note.lines))
        return notes

    reached: set[str] = set()
    sketches: dict[str, list[_Sketch]] = {}
    rows = {
        path: [_row_as_it_was(row, attachable(_companions_of(row.paper))) for row in last.rows]
        for path, last in kept.items()
    }
    for note in notes:
        if note.path in companions:
            continue
        if note.path not in digests:
            rows[note.path] = [_row(_whole_note(note), (), known)] if _has_words(note.lines) else []
            continue
        here = rows[note.path] = []
        links = linked[note.path]
        sketches[note.path] = list(_sketches(note, _holding(note)))
        for sketch in sketches[note.path]:
            inside = links[bisect_left(links, (sketch.first,)) : bisect_left(links, (sketch.stop,))]
            here.append(_row(sketch, attachable(target for _, target in inside), known))
    for path in sorted(companions):
        lost = path not in reached and _has_words(by_path[path].lines)
        rows[path] = [_row(_whole_note(by_path[path]), (), known)] if lost else []
    pairs = dict.fromkeys((source, target) for source, links in linked.items() for _, target in links)
    before = [(source, target) for source, last in kept.items() for target in last.links if target in resolver.paths]
    outlines = {
        path: outline
        for path, pieces in cuts.items()
        if path in sketches and not linked[path] and (outline := _outline_of(by_path[path], sketches[path], pieces))
    }
    return Readings(rows, notices, [*pairs, *before], outlines)


def _row(sketch: _Sketch, attached: Sequence[Note], known: Mapping[str, Container[int]] | None) -> Row:
    """With companions there is no key: what they hold is not in the source."""
    key = 0 if attached else sketch.source_key()
    line = sketch.first + 1
    if key and known is not None and key in known[sketch.note.path]:
        return Row(key, line, None)
    return Row(key, line, _with_companions(sketch.paper(), attached))


def _row_as_it_was(row: Row, attached: Sequence[Note]) -> Row:
    """What an index knows of a paper, with its companions of today."""
    if row.paper is None:
        return row
    own = tuple(section for section in row.paper.sections if not section.companion)
    return Row(row.key, row.line, _with_companions(row.paper.replace(sections=own), attached))


def _companions_of(paper: Paper | None) -> Iterable[str]:
    return () if paper is None else (section.path for section in paper.sections if section.companion)


def _with_companions(paper: Paper, attached: Sequence[Note]) -> Paper:
    more = [s for note in attached if (s := _section(note, 0, len(note.lines), companion=True))]
    return paper.replace(sections=(*paper.sections, *more)) if more else paper


# ---- an edited file, read as far as it was edited


Cut = tuple[list[int], list[bytes]]
"""Numbers of lines of the pieces of a note (papersearch.files.cut), and their digests."""


class _Piece(NamedTuple):
    """What is remembered of a piece of a note."""

    digest: str
    lines: int
    rows: int
    """How many papers begin in it."""
    dated: bool
    """Whether it has a heading with venue or year."""
    level: int
    """Of the heading that it begins with, 0 if something that begins before it may reach into it."""
    above: list[list[Any]]
    """Level and source of the headings that the first heading stands under. Empty with a level of 0."""


def lines_of_pieces(data: bytes, starts: Sequence[int]) -> list[int]:
    """How many lines each piece has; nothing if there is but one, or if lines end as they did on old Macs."""
    if len(starts) < 2 or data.count(b"\r") != data.count(b"\r\n"):
        return []
    return _line_counts(data, starts)


def _line_counts(data: bytes, starts: Sequence[int]) -> list[int]:
    counts = [data.count(b"\n", a, b) for a, b in pairwise([*starts, len(data)])]
    counts[-1] += not data.endswith(b"\n")
    return counts


def _outline_of(note: Note, sketches: Sequence[_Sketch], cut: Cut) -> bytes:
    """What read_edited() wants to know of a note; nothing if it may not read less than the whole.

    It may where all headings with venue or year are of one level. Then a heading is that of a paper if it is of that
    level, and no other heading has a say in it: of these, those above have papers below them, and no venue or year,
    and those below are parts of papers.
    """
    levels = {head.level for head in note.dated}
    if len(levels) != 1 or note.defines:
        return b""
    (level,) = levels
    return _outline_json(level, _pieces(note, level, sketches, cut))


def _outline_json(level: int, pieces: Sequence[_Piece]) -> bytes:
    return json.dumps([level, pieces], ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _pieces(note: Note, level: int, sketches: Sequence[_Sketch], cut: Cut) -> list[_Piece]:
    heads = note.heads[note.given :]
    starts = [head.start for head in heads]
    begins = [sketch.first for sketch in sketches]
    pieces = []
    line = 0
    for lines, digest in zip(*cut, strict=True):
        first, last = bisect_left(begins, line), bisect_left(begins, line + lines)
        at, end = bisect_left(starts, line), bisect_left(starts, line + lines)
        dated = any(head.heading.dated for head in heads[at:end])
        is_free = (
            at < end
            and starts[at] == line
            and heads[at].level <= level
            and _ATX.match(note.lines[line])
            and (first == 0 or sketches[first - 1].stop <= line)
        )
        above = [[note.heads[i].level, note.heads[i].source] for i in heads[at].parents] if is_free else []
        pieces.append(_Piece(digest.hex(), lines, last - first, dated, heads[at].level if is_free else 0, above))
        line += lines
    return pieces


class Edited(NamedTuple):
    """What is new in a note."""

    first: int
    end: int
    """Numbers of the papers, before the edit, that were in the part of the note that was read."""
    rows: list[Row]
    """Those that are there now."""
    shift: int
    """How many lines further down the papers after these are now."""
    digest: str
    outline: bytes


def read_edited(
    path: str,
    data: bytes,
    outline: bytes,
    keys: Callable[[int, int], Container[int]],
    is_note: Callable[[str], bool],
) -> Edited | None:
    """Read a note as far as it is not what it was. None where more has to be known: then all of it has to be read.

    `outline`: what read_together() told of it before; it linked to no other notes, and none to it. `keys`: source keys
    of papers, by the number of the first and that after the last one, that need not be read again. `is_note`: whether
    a link leads to another note.
    """
    level, rows = json.loads(outline)
    old = [_Piece(*row) for row in rows]
    starts, digests = cut(data)
    new = [digest.hex() for digest in digests]
    most = min(len(old), len(new)) - 1
    first = next((n for n in range(most) if old[n].digest != new[n]), most)
    after = next((n for n in range(most - first) if old[-1 - n].digest != new[-1 - n]), most - first)
    while first and not old[first].level:
        first -= 1
    while after and not old[-after].level:
        after -= 1
    stop, old_stop = len(new) - after, len(old) - after
    part = data[starts[first] : starts[stop] if after else len(data)]
    if part.count(b"\r") != part.count(b"\r\n") or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    try:
        text = part.decode("utf-8" if first else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    above = old[first].above if first else []
    note = parse_note(path, text, [(level, source) for level, source in above])
    following = old[old_stop] if after else None
    holding = _fits(note, level, old[first].level if first else 0, following)
    unchanged = [*old[:first], *old[old_stop:]]
    if holding is None or not (note.dated or any(piece.dated for piece in unchanged)):
        return None
    if any(is_note(url) for _, url in note.links_to_notes()):
        return None
    before = sum(piece.lines for piece in old[:first])
    first_row = sum(piece.rows for piece in old[:first])
    end_row = first_row + sum(piece.rows for piece in old[first:old_stop])
    known = {path: keys(first_row, end_row)}
    sketches = list(_sketches(note, holding))
    found = [_row(sketch, (), known).down(before) for sketch in sketches]
    counts = _line_counts(part, [start - starts[first] for start in starts[first:stop]])
    pieces = _pieces(note, level, sketches, (counts, digests[first:stop]))
    shift = sum(counts) - sum(piece.lines for piece in old[first:old_stop])
    whole = [*old[:first], *pieces, *old[old_stop:]]
    outline = _outline_json(level, whole) if len(whole) > 1 else b""
    return Edited(first_row, end_row, found, shift, digest_of_pieces(digests), outline)


def _fits(note: Note, level: int, was: int, following: _Piece | None) -> set[int] | None:
    """Mark the papers of a stretch of a note, and find the headings that papers stand under; None where the rest of the
    note may not be what it was.

    `level`: of papers; `was`: of the heading that the stretch began with before, 0 at the begin of the note;
    `following`: the piece after it, None at the end of the note.
    """
    heads = note.heads
    here = range(note.given, len(heads))
    if not here or note.defines or any(heads[i].heading.dated and heads[i].level != level for i in here):
        return None
    for i in here:
        heads[i].is_paper = heads[i].level == level
    paper = next((i for i in here if heads[i].is_paper), None)
    # All that is open where the stretch begins had a paper below it, be it in the stretch. So the stretch has to give
    # it one, or to close it as it did before, with its very first heading.
    if paper is None or (was and (heads[note.given].start or heads[note.given].level != was)):
        return None
    if was and min(heads[i].level for i in here if i <= paper) < was:
        return None
    holding = _holding(note)
    if following is None:
        return holding
    if note.is_open or (not was and _may_be_front_matter(note.lines)):
        return None
    stack: list[int] = []
    for i, head in enumerate(heads):
        while stack and heads[stack[-1]].level >= head.level:
            stack.pop()
        stack.append(i)
    still_open = [i for i in stack if heads[i].level < following.level]
    if [[heads[i].level, heads[i].source] for i in still_open] != following.above:
        return None
    waiting = [i for i in still_open if i >= note.given and i not in holding]
    if waiting and following.level != level:
        return None
    return holding.union(waiting)


def _may_be_front_matter(lines: list[str]) -> bool:
    """Whether there begins front matter that does not end within these lines."""
    begins = bool(lines) and lines[0].rstrip() == "---" and len(lines) < _FRONT_MATTER_LIMIT
    return begins and _without_front_matter(lines) is lines


def base_id(paper: Paper) -> str:
    """The id of a paper that no earlier one has the heading of."""
    key = identity(paper.title, paper.venue, paper.year)
    return make_id(key if paper.kind == "paper" else f"note|{key}")


def _with_ids(papers: Iterable[Paper]) -> list[Paper]:
    """Ids from what a heading says (title, venue, year), so that adding, moving and editing notes leaves them be;
    a further paper of the very same heading gets the same id with its ordinal."""
    seen: Counter[str] = Counter()
    done: list[Paper] = []
    for paper in papers:
        base = base_id(paper)
        seen[base] += 1
        done.append(paper.replace(id=base if seen[base] == 1 else f"{base}-{seen[base]}"))
    return done


def read_corpus(
    roots: Sequence[str],
    *,
    check_links: bool = False,
    scanned: tuple[Sequence[Stat], Sequence[Notice]] | None = None,
    last_known: Callable[[str], Kept | None] = lambda path: None,
) -> tuple[Corpus, dict[str, str]]:
    """Read every note under the roots. Returns the corpus and the digest of each file by its path.

    With several roots, paths begin with the root's own name. Raises CorpusError when a root does not exist. Of a file
    that cannot be read (in one piece, while others write it) it is what is known of it, if anything; the notices name
    it. `check_links`: also look for the files behind links that lead to no notes. `scanned`: what scan() gave.
    """
    states, remarks = scanned or scan(roots)
    corpus = Corpus(notices=list(remarks))
    digests: dict[str, str] = {}
    for root, prefix in zip(roots, root_names(roots), strict=True):
        is_folder = os.path.isdir(root)
        paths = [path for path, *_ in states if path.startswith(prefix) and path != prefix + TERMS_NAME]
        cuts: dict[str, Cut] = {}
        notes: list[Note] = []
        kept: dict[str, Kept] = {}
        for path in paths:
            text, remark = "", None
            try:
                data = read_bytes(os.path.join(root, path[len(prefix) :]) if is_folder else root)
            except OSError as error:
                last = last_known(path)
                left = "skipped" if last is None else "its papers stay as they were"
                reason = error.strerror or type(error).__name__
                corpus.notices.append(Notice(path, 0, f"cannot be read ({reason}); {left}", "skipped"))
                if last is None:
                    continue
                if last.text is None:
                    kept[path] = last
                    continue
                text = last.text
            else:
                text, remark = decode(data)
                starts, pieces = cut(data)
                digests[path] = digest_of_pieces(pieces)
                if not remark and (lines := lines_of_pieces(data, starts)):
                    cuts[path] = lines, pieces
            if remark:
                corpus.notices.append(Notice(path, 0, remark, "encoding"))
            notes.append(parse_note(path, text))
        if check_links and is_folder:
            corpus.notices += [notice for note in notes for notice in _lost_links(root, prefix, note)]
        there = [*(note.path for note in notes), *kept]
        found = read_together(notes, Resolver(there, whole_folder=is_folder), kept=kept, cuts=cuts)
        for path in paths:
            rows = found.rows.get(path, ())
            corpus.papers += [row.paper for row in rows if row.paper]
            corpus.keys += [row.key for row in rows]
        corpus.notices += found.notices
        corpus.links += found.links
        corpus.outlines |= found.outlines
        corpus.files += paths
    corpus.papers = _with_ids(corpus.papers)
    return corpus, digests


def _lost_links(root: str, prefix: str, note: Note) -> Iterator[Notice]:
    """Relative links to something that is no note and not there."""
    for line, url in note.links:
        is_note = unquote(url).split("#")[0].lower().endswith(SUFFIXES)
        if not is_note and _missing_target(root, note.path[len(prefix) :], url):
            yield Notice(note.path, line + 1, f"link to {url} leads nowhere", "link")
