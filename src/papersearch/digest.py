"""Files → Papers. Block structure comes from markdown-it; every word of text is taken from the source lines."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from papersearch.files import SUFFIXES, Notice, decode, find_notes, read_bytes, require, root_names
from papersearch.heading import Heading, parse_heading, plain
from papersearch.paper import Paper, Section, identity, make_id
from papersearch.record import Record

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
_FRONT_MATTER_LIMIT = 200
_ATX = re.compile(r"#{1,6}(?:[ \t]|$)")


@dataclass
class Corpus:
    """All papers of a corpus in reading order, and what was remarked while reading."""

    papers: list[Paper] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    linked: bool = False
    """Whether a note may link to another, so that the papers of one depend on those of others."""


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

    def __init__(self) -> None:
        super().__init__("commonmark", {"maxNesting": MAX_NESTING})
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
            found += (target for target in _LOOSE_LINK.findall(content) if target not in found)
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


@dataclass
class Note:
    """One Markdown file, read and taken apart."""

    path: str
    lines: list[str]
    heads: list[_Head]
    links: list[tuple[int, str]]
    bullets: list[int]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def dated(self) -> list[_Head]:
        return [head for head in self.heads if head.heading.dated]


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

    heads: tuple[tuple[int, int, int, str], ...]
    """Level, first line, line after it and source of each heading at the top level."""
    bullets: tuple[int, ...]
    links: tuple[tuple[int, str], ...]
    defines: bool
    """Whether it defines references, which hold for all of the file."""


def _outline(text: str) -> _Outline:
    parser, env = _parser(), dict[str, object]()
    tokens = parser.parse(text, env)
    heads: list[tuple[int, int, int, str]] = []
    links: list[tuple[int, str]] = []
    bullets: list[int] = []
    for i, token in enumerate(tokens):
        if token.map is None:
            continue
        if token.type == "heading_open" and token.level == 0:
            heads.append((int(token.tag[1]), token.map[0], token.map[1], tokens[i + 1].content))
        elif token.type == "list_item_open" and token.level == 1:
            bullets.append(token.map[0])
        elif token.type == "inline" and ("](" in token.content or "][" in token.content or "://" in token.content
                                         or ("]" in token.content and "references" in env)):  # fmt: skip
            links.extend((token.map[0], url) for url in parser.links(token.content, env) if url)
    return _Outline(tuple(heads), tuple(bullets), tuple(links), "references" in env)


_outline_of_part = lru_cache(maxsize=4096)(_outline)


@cache
def _parser() -> _Parser:
    return _Parser()


def _parts(lines: Sequence[str]) -> list[int]:
    """Lines at which the file may be cut without changing what its parts are made of: 0, and headings that nothing
    before them can swallow. Only a fence or raw HTML at the top level could: then there are none.
    """
    if any(line.lstrip(" ")[:3] in ("```", "~~~") or line.lstrip(" ")[:1] == "<" for line in lines):
        return [0]
    return [0, *(n for n, line in enumerate(lines) if n and line[:1] == "#" and _ATX.match(line))]


def parse_note(path: str, text: str) -> Note:
    """Take one file apart. `path` is relative to the corpus; line numbers inside count from 0.

    What a part between two headings is made of depends on its text alone, and is remembered: of a file that was edited
    only the parts that changed are parsed again.
    """
    lines = _LINE_END.split(text)
    if lines and not lines[-1]:
        lines.pop()
    flat = _without_depth(_without_front_matter(lines))
    cuts = _parts(flat)
    outlines = [(start, _outline_of_part("\n".join(flat[start:stop]))) for start, stop in pairwise([*cuts, len(flat)])]
    if len(outlines) > 1 and any(outline.defines for _, outline in outlines):
        outlines = [(0, _outline("\n".join(flat)))]
    heads: list[_Head] = []
    stack: list[int] = []
    for line, outline in outlines:
        for level, start, stop, source in outline.heads:
            head = _Head(level, line + start, line + stop, source, parse_heading(source))
            while stack and heads[stack[-1]].level >= head.level:
                heads[stack.pop()].end = head.start
            head.parents = tuple(stack)
            stack.append(len(heads))
            heads.append(head)
    for index in stack:
        heads[index].end = len(lines)
    links = [(line + at, url) for line, outline in outlines for at, url in outline.links]
    return Note(path, lines, heads, links, [line + at for line, outline in outlines for at in outline.bullets])


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


def _paper(note: Note, head: _Head | None, start: int, stop: int, above: Sequence[_Head], kind: str) -> Paper:
    """The paper whose heading is `head` and whose own notes are the lines [start, stop)."""
    heading = head.heading if head else Heading(PurePosixPath(note.path).stem)
    section = _section(note, start, stop)
    first = head.start if head else start
    links = dict.fromkeys(url for line, url in note.links if first <= line < stop)
    context = [h.source for h in above] + list(heading.groups)
    if head and "](" in head.source:
        context.append(head.source)
    return Paper(
        id="",
        title=heading.title,
        path=note.path,
        line=first + 1,
        end_line=max(section.end_line if section else 0, head.stop if head else 0, first + 1),
        kind="paper" if kind == "paper" else "note",
        aliases=heading.aliases,
        category=plain(above[-1].source) if above else None,
        venue=heading.venue,
        venue_raw=heading.venue_raw,
        year=heading.year,
        orgs=heading.orgs,
        bullets=sum(start <= line < stop for line in note.bullets),
        links=tuple(links),
        context=tuple(context),
        sections=(section,) if section else (),
    )


def _has_words(lines: Iterable[str]) -> bool:
    return any(c.isalnum() for line in lines for c in line)


def _papers_of_digest(note: Note) -> Iterator[Paper]:
    """Papers in order; text outside of all of them becomes notes of its own, titled by the heading above it."""
    heads = note.heads
    if _has_words(note.lines[: heads[0].start]):
        yield _paper(note, None, 0, heads[0].start, (), "note")
    holding = {parent for head in heads if head.is_paper for parent in head.parents}
    skip_until = 0
    for i, head in enumerate(heads):
        if head.start < skip_until:
            continue
        above = [heads[j] for j in head.parents]
        if head.is_paper:
            yield _paper(note, head, head.stop, head.end, above, "paper")
            skip_until = head.end
        elif i in holding:
            following = heads[i + 1].start
            if _has_words(note.lines[head.stop : following]):
                yield _paper(note, head, head.stop, following, above, "note")
        else:
            yield _paper(note, head, head.stop, head.end, above, "note")
            skip_until = head.end


def _whole_note(note: Note) -> Paper:
    """A file nobody links and without papers in it: one paper (its heading names an org or a venue) or note."""
    head = note.heads[0] if note.heads and not _has_words(note.lines[: note.heads[0].start]) else None
    kind = "paper" if head and head.heading.groups else "note"
    return _paper(note, head, head.stop if head else 0, len(note.lines), (), kind)


def _is_digest_whoever_links_it(note: Note) -> bool:
    """Whether so many headings are papers that the file is a digest even if some paper links to it."""
    return len(note.dated) >= 3 and len(note.dated) * 2 > len(note.heads)


class _Resolver:
    """Where a link in a note leads inside the corpus."""

    def __init__(self, paths: Iterable[str], *, whole_folder: bool) -> None:
        self.paths = set(paths)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        if whole_folder:
            for path in self.paths:
                self.by_name[PurePosixPath(path).name.casefold()].append(path)

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


def papers_of(notes: Sequence[Note], *, whole_folder: bool = True) -> tuple[list[Paper], list[Notice]]:
    """Papers of all notes of a corpus, companions attached, ids given. Notices name the broken links.

    `whole_folder`: whether a link to the wrong folder may be mended by a unique file name.
    """
    resolver = _Resolver((note.path for note in notes), whole_folder=whole_folder)
    by_path = {note.path: note for note in notes}
    notices: list[Notice] = []
    linked: dict[tuple[str, int], str] = {}
    for note in notes:
        for line, url in note.links:
            path, problem = resolver.resolve(note.path, url)
            if problem:
                notices.append(Notice(note.path, line + 1, problem, "link"))
            if path and path != note.path:
                linked[note.path, line] = path

    for note in notes:
        _mark_papers(note, by_structure=True)
    digests = {note.path for note in notes if any(head.is_paper for head in note.heads)}
    companions: set[str] = set()
    for (source, line), target in linked.items():
        in_paper = any(h.is_paper and h.start <= line < h.end for h in by_path[source].heads)
        if source in digests and in_paper and not _is_digest_whoever_links_it(by_path[target]):
            companions.add(target)
    # Two notes whose papers link to each other would both vanish: the one with more papers stays a digest.
    for path in sorted(companions & digests, key=lambda p: (-len(by_path[p].dated), p)):
        sources = {source for (source, _), target in linked.items() if target == path and source in digests}
        if sources and sources <= companions:
            companions.discard(path)

    papers: list[Paper] = []
    for note in notes:
        if note.path in companions:
            continue
        if note.path not in digests:
            if _has_words(note.lines):
                papers.append(_whole_note(note))
            continue
        for paper in _papers_of_digest(note):
            targets = dict.fromkeys(
                target
                for (source, line), target in linked.items()
                if source == note.path and target in companions and paper.line <= line + 1 <= paper.end_line
            )
            attached = [s for t in targets if (s := _section(by_path[t], 0, len(by_path[t].lines), companion=True))]
            papers.append(paper.replace(sections=(*paper.sections, *attached)))
    reached = {s.path for paper in papers for s in paper.sections}
    papers.extend(
        _whole_note(by_path[path]) for path in sorted(companions - reached) if _has_words(by_path[path].lines)
    )
    return _with_ids(papers), notices


def _with_ids(papers: Iterable[Paper]) -> list[Paper]:
    """Ids from what a heading says (title, venue, year), so that adding, moving and editing notes leaves them be;
    a further paper of the very same heading gets the same id with its ordinal."""
    seen: Counter[str] = Counter()
    done: list[Paper] = []
    for paper in papers:
        key = identity(paper.title, paper.venue, paper.year)
        base = make_id(key if paper.kind == "paper" else f"note|{key}")
        seen[base] += 1
        done.append(paper.replace(id=base if seen[base] == 1 else f"{base}-{seen[base]}"))
    return done


def _names_a_note(url: str) -> bool:
    """Whether a link may lead to a note, wherever that is."""
    target = re.split(r"[?#]", url, maxsplit=1)[0]
    return not _SCHEME.match(url) and unquote(target).lower().endswith(SUFFIXES)


def read_alone(path: str, data: bytes) -> list[Paper] | None:
    """Papers of a note that no other links, read without the rest of the corpus; None where it links to notes or is
    not plain UTF-8, so that the rest has to be looked at."""
    text, remark = decode(data)
    note = parse_note(path, text)
    if remark or any(_names_a_note(url) for _, url in note.links):
        return None
    return papers_of([note])[0]


def read_corpus(roots: Sequence[str]) -> tuple[Corpus, dict[str, bytes]]:
    """Read every note under the roots. Returns the corpus and the bytes of each file by its path.

    With several roots, paths begin with the root's own name. Raises CorpusError when a root does not exist; a file
    that cannot be read is skipped and named in the notices.
    """
    corpus = Corpus()
    contents: dict[str, bytes] = {}
    prefixes = root_names(roots)
    for root, prefix in zip(roots, prefixes, strict=True):
        require(root)
        paths, notices = find_notes(root)
        corpus.notices += [n.replace(path=prefix + n.path) for n in notices]
        notes: list[Note] = []
        for path in paths:
            try:
                contents[prefix + path] = data = read_bytes(os.path.join(root, path) if os.path.isdir(root) else root)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                corpus.notices.append(Notice(prefix + path, 0, f"cannot be read ({reason}); skipped", "skipped"))
                continue
            text, remark = decode(data)
            if remark:
                corpus.notices.append(Notice(prefix + path, 0, remark, "encoding"))
            notes.append(parse_note(prefix + path, text))
        for note in notes:
            for line, url in note.links:
                corpus.linked = corpus.linked or _names_a_note(url)
                if not unquote(url).split("#")[0].lower().endswith(SUFFIXES) and os.path.isdir(root):
                    source = note.path[len(prefix) :]
                    if _missing_target(root, source, url):
                        corpus.notices.append(Notice(note.path, line + 1, f"link to {url} leads nowhere", "link"))
        papers, notices = papers_of(notes, whole_folder=os.path.isdir(root))
        corpus.papers += papers
        corpus.notices += notices
        corpus.files += [prefix + path for path in paths]
    if len(roots) > 1:
        corpus.papers = _with_ids(corpus.papers)
    return corpus, contents
