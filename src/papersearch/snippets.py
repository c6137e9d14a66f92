"""Paper + what matched → an excerpt that shows why, with offsets. No markup."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from sys import byteorder

from papersearch.analysis.normalize import CJK, fold, is_cjk, normalize, normalized, shadow, source_end
from papersearch.analysis.stem import stem
from papersearch.analysis.tokens import MAX_TERM, STEM_MARK, tokens
from papersearch.paper import Paper
from papersearch.record import Record

WIDTH = 160
"""Characters of an excerpt; Chinese ones count twice, as on a terminal."""
LONGEST_LINE = 4000
"""Characters of a line that are looked at: a paragraph of a person is shorter."""
CLOSER_LOOKS = 12
"""Lines of a paper that are analysed in full to choose the one to show."""
LOOKS = 1_000_000
"""Lines of a section times terms that are looked for in each: a prefix has a thousand forms, a table any number of
rows."""
REMEMBERED_PIECES = 1 << 14
REMEMBERED_TERMS = 64
"""Sets of terms that are kept as they are looked for: the hits of a query match the same few."""
REMEMBERED_FOREIGN = 1 << 10
"""Words that are remembered as none of such a set: lines repeat the common ones."""
_WIDE = "\u2e7f"
"""Characters above it take two cells."""
_WIDTHS = bytes([1 + (high > ord(_WIDE) >> 8) for high in range(256)])
"""Cells by the upper half of a code point of 16 bits: but of those that begin as _WIDE does, some take two."""
_HIGHS = slice(3 if byteorder == "little" else 2, None, 2)
"""Those halves in UTF-16 in the machine's order, after its mark: the form that needs no module of encodings."""
LONGEST_WORD = 24
"""How far a window is stretched so as not to end inside a word."""

_LIST_MARK = re.compile(r"^\s*(?:[-*+]\s+|>\s?|#{1,6}\s+|\d+[.)]\s+)+")
_FENCE = r"\s*(?:```|~~~|[-*_]{3,}\s*$|\|[\s:|-]+\|?\s*$|<[^>]*>\s*$|!\[[^\]]*\]\([^)]*\)\s*$)"
"""Lines without text: compiled for the first that begins as one of them may."""


class Excerpt(Record):
    """A piece of a note. `highlights` are [start, end) offsets into `text`."""

    text: str
    highlights: tuple[tuple[int, int], ...] = ()
    path: str = ""
    line: int = 0


class _Wanted:
    """Index terms to be marked in a text: Chinese ones, and others with what the words they stand for begin with."""

    __slots__ = ("chinese", "first_letters", "foreign", "heads", "others")

    def __init__(self, terms: Iterable[str]) -> None:
        wanted = set(terms)
        self.chinese = {term for term in wanted if is_cjk(term)}
        self.others = wanted - self.chinese
        stems = [term.lstrip(STEM_MARK) for term in self.others]
        letters = {term[:1] for term in stems}
        self.first_letters = letters | {letter.upper() for letter in letters}
        # A word begins with two letters of its stem, but dying, lying, tying do not: die, lie, tie.
        self.foreign: set[str] = set()
        """Pieces of lines that none of the others may stand for."""
        self.heads = tuple({term[: 1 + (len(term) > len("die"))] for term in stems})

    def has_word(self, word: str) -> bool:
        """Whether a plain word, or its stem, is among the others."""
        return word in self.others or ((root := stem(word)) != word and STEM_MARK + root in self.others)

    def may_be_in(self, piece: str) -> bool:
        """Whether one of the others may stand for a part of a piece that is no plain word."""
        if "\\" in piece or not piece.isascii():
            return bool(_held_by(piece))  # what follows "，" is a part of the piece, and mostly there is nothing
        written = piece.lower()
        if any(head in written for head in self.heads):
            return True
        joined = "".join([char for char in written if char.isalnum()])
        return len(joined) < len(written) and any(head in joined for head in self.heads)

    def marked(self, line: str) -> list[tuple[int, int]]:
        """[start, end) of every place of one line that one of the terms stands for, merged and in order."""
        found: set[tuple[int, int]] = set()
        if self.chinese:
            found.update(_runs(line, self.chinese))
        if self.others:
            found.update(_words(line, self))
        return _merged(found)


def highlights(text: str, terms: Iterable[str]) -> list[tuple[int, int]]:
    """[start, end) of every place of `text` that one of the index terms stands for, merged and in order."""
    wanted = _Wanted(terms)
    found: list[tuple[int, int]] = []
    at = 0
    for line in text.split("\n"):
        found += [(at + start, at + end) for start, end in wanted.marked(line)]
        at += len(line) + 1
    return found


def _words(line: str, wanted: _Wanted) -> Iterator[tuple[int, int]]:
    """[start, end) of every place of one line where one of the other terms stands.

    A term depends on nothing beyond the blanks and the Chinese characters around it (but on whether there are such):
    so the pieces between them are looked at one by one, each once however often the line has it.
    """
    shadowed = line if line.isascii() else shadow(line)
    blanked = shadowed.replace(CJK, " ")
    first_letters, foreign = wanted.first_letters, wanted.foreign
    if len(foreign) > REMEMBERED_FOREIGN:
        foreign = wanted.foreign = set()
    for piece in set(blanked.split()) - foreign:
        skipped = piece[0] not in first_letters and piece.isascii() and piece.isalpha()
        if skipped and (piece.islower() or piece.istitle()):
            foreign.add(piece)
            continue  # most pieces: see below
        plain = piece.strip(_AROUND_WORDS)
        if plain.isascii() and plain.isalpha() and (plain[1:].islower() or len(plain) == 1):
            # A plain word and its stem are all that it stands for, and both have its first letter.
            term = plain.lower()[:MAX_TERM]
            if term.startswith(wanted.heads) and wanted.has_word(term):
                shift = piece.index(plain)
                for start in _places(blanked, piece):
                    yield start + shift, start + shift + len(plain)
            else:
                foreign.add(piece)
        elif wanted.may_be_in(piece):
            for start in _places(blanked, piece):
                before = shadowed[start - 1 : start] == CJK
                end = start + len(piece)
                for term, first, last in _held_by(CJK * before + piece + shadowed[end : end + 1].strip()):
                    if term in wanted.others:
                        yield start - before + first, start - before + last
        else:
            foreign.add(piece)


def _places(text: str, piece: str) -> Iterator[int]:
    """Where a piece begins in a text of pieces with blanks between."""
    size = len(piece)
    at = text.find(piece)
    while at >= 0:
        if (not at or text[at - 1].isspace()) and (at + size == len(text) or text[at + size].isspace()):
            yield at
        at = text.find(piece, at + 1)


def _held_by(piece: str) -> tuple[tuple[str, int, int], ...]:
    """(term, start, end) of the terms in a piece, remembered: texts repeat their words."""
    held = _held.get(piece)
    if held is None:
        held = tuple({(t.term, t.start, t.end) for t in tokens(piece, _no_words)[0]})
        if len(_held) >= REMEMBERED_PIECES:
            _held.clear()
        if len(piece) <= MAX_TERM:
            _held[piece] = held
    return held


_AROUND_WORDS = ".,;:!?()"
_held: dict[str, tuple[tuple[str, int, int], ...]] = {}


def _no_words(run: str) -> Iterable[tuple[str, int]]:
    """A cutter for what has no Chinese words to be found."""
    return ()


def _runs(line: str, chinese: Iterable[str]) -> Iterator[tuple[int, int]]:
    """[start, end) of every place of one line where one of the Chinese terms stands: no word has to be told apart."""
    normalized, origins = normalize(line)
    for term in chinese:
        at = normalized.find(term)
        while at >= 0:
            yield origins[at], source_end(line, origins[at + len(term) - 1])
            at = normalized.find(term, at + 1)


def _merged(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


@lru_cache(maxsize=REMEMBERED_TERMS)
def _rough_parts(terms: tuple[str, ...]) -> tuple[str, ...]:
    """What a line worth a closer look has in it: the terms, stems without the letter that they may have changed. Plain
    strings: compiling a pattern would take longer than all the looking."""
    return tuple(dict.fromkeys([t.removeprefix(STEM_MARK).rstrip("iy") or t for t in terms]))


_wanted = lru_cache(maxsize=REMEMBERED_TERMS)(_Wanted)


class Notes:
    """A paper, and the lines of its notes as excerpts are looked for in them."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self._lines: dict[tuple[int, bool], tuple[str, list[str], list[str]]] = {}
        self._last: tuple[tuple[str, ...], Excerpt] | None = None
        """For which terms an excerpt was asked last: other filters, orders and pages of a query ask for the same."""

    def _section(self, number: int, *, as_compared: bool) -> tuple[str, list[str], list[str]]:
        """(a section's text in the form in which it is compared, its lines so, its lines as written)."""
        found = self._lines.get((number, as_compared))
        if found is None:
            text = self.paper.sections[number].text
            folded = fold(normalized(text) if as_compared else text)
            found = self._lines[number, as_compared] = folded, folded.split("\n"), text.split("\n")
        return found

    def _candidates(self, parts: Sequence[str], *, as_compared: bool) -> list[tuple[int, str, str, int]]:
        """(kinds of terms in it, line, path, number) of lines that may show why, those of companions only if the
        paper's own notes have none."""
        found: list[tuple[int, str, str, int]] = []
        for number, section in enumerate(self.paper.sections):
            if found and section.companion:
                break
            text, lines, written = self._section(number, as_compared=as_compared)
            here = [part for part in parts if part in text]
            if not here:
                continue
            del here[max(1, LOOKS // len(lines)) :]
            for at, line in enumerate(lines):
                kinds = sum([part in line for part in here])
                if kinds and not _is_fence(written[at]):
                    found.append((kinds, written[at], section.path, section.line + at))
        found.sort(key=_by_kinds)
        return found[:CLOSER_LOOKS]

    def excerpt(self, terms: Sequence[str]) -> Excerpt:
        """The line of the paper's notes in which most of the terms stand (the paper's own before a companion's), cut
        to a window around them; without any, the first line of its notes."""
        sought, last = tuple(terms), self._last
        if last is None or last[0] != sought:
            last = self._last = sought, self._excerpt(sought)
        return last[1]

    def _excerpt(self, sought: tuple[str, ...]) -> Excerpt:
        if parts := _rough_parts(sought):
            looked_at: list[tuple[int, str, str, int]] = []
            # Most text is written as it is compared: only where nothing is found is it worth normalizing every line.
            for as_compared in (False, True):
                candidates = self._candidates(parts, as_compared=as_compared)
                if candidates == looked_at:
                    continue
                looked_at = candidates
                best: tuple[int, str, str, int] | None = None
                marks_of_best: list[tuple[int, int]] = []
                for expected, line, path, number in candidates:
                    if best is not None and best[0] >= expected:
                        break
                    line = _cropped(line, parts)
                    marks = _wanted(sought).marked(line)
                    kinds = len({fold(line[start:end]) for start, end in marks})
                    if marks and (best is None or kinds > best[0]):
                        best, marks_of_best = (kinds, line, path, number), marks
                if best is not None:
                    return _cut(best[1], marks_of_best, best[2], best[3])
        for section in self.paper.sections:
            for number, line in enumerate(section.text.split("\n"), section.line):
                if line.strip() and not line.lstrip().startswith("#") and not _is_fence(line):
                    return _cut(line[:LONGEST_LINE], [], section.path, number)
        return Excerpt("")


def _is_fence(line: str) -> bool:
    begin = line.lstrip()[:2]
    may_be = begin[:1] in "`~|<!" or not begin.strip("-*_")
    return may_be and re.match(_FENCE, line) is not None


def _by_kinds(row: tuple[int, str, str, int]) -> int:
    return -row[0]


def _cropped(line: str, parts: Sequence[str]) -> str:
    """A line of sane length: of a longer one the stretch from shortly before the first match."""
    if len(line) <= LONGEST_LINE:
        return line
    lowered = line.lower()
    found = [at for part in parts if (at := lowered.find(part)) >= 0]
    start = max(0, min(found) - WIDTH) if found and len(lowered) == len(line) else 0
    return ("…" if start else "") + line[start : start + LONGEST_LINE]


def _cut(line: str, marks: list[tuple[int, int]], path: str, number: int) -> Excerpt:
    """A window of the line around its marks, without list marks, ends on whole words."""
    mark = _LIST_MARK.match(line)
    begin = mark.end() if mark else len(line) - len(line.lstrip())
    end = len(line.rstrip())
    marks = [(s, e) for s, e in marks if s >= begin and e <= end]
    start, stop = begin, end
    if (end - begin) * 2 > WIDTH:
        cells = range(end + 1) if line.isascii() else _cells(line)
        if cells[end] - cells[begin] > WIDTH:
            start, stop = _window(cells, marks, begin, end)
            start = next(
                (i for i in range(start, max(begin, start - LONGEST_WORD), -1) if not _inside_word(line, i)), start
            )
            stop = next((i for i in range(stop, min(end, stop + LONGEST_WORD)) if not _inside_word(line, i)), stop)
    head, tail = ("…" if start > begin else ""), ("…" if stop < end else "")
    shift = len(head) - start
    kept = tuple((s + shift, e + shift) for s, e in marks if s >= start and e <= stop)
    return Excerpt(head + line[start:stop] + tail, kept, path, number)


def _cells(line: str) -> list[int]:
    """Cells before each character, and before the end."""
    highs = line.encode("utf-16", "surrogatepass")[_HIGHS]
    if len(highs) == len(line) and ord(_WIDE) >> 8 not in highs:
        return [0, *accumulate(highs.translate(_WIDTHS))]
    return [0, *accumulate([1 + (char > _WIDE) for char in line])]


def _inside_word(line: str, at: int) -> bool:
    """Whether a cut before character `at` would part a word of letters and digits."""
    around = line[max(at - 1, 0) : at + 1]
    return len(around) == 2 and around.isascii() and around.isalnum()


def _window(cells: Sequence[int], marks: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int, int]:
    """The stretch of WIDTH cells that holds most marks, with some text before the first of them."""
    best, best_start = -1, begin
    last = 0
    for first, (start, _) in enumerate(marks):
        reach = _reach(cells, start, end, WIDTH * 3 // 4)
        last = max(last, first)
        while last < len(marks) and marks[last][1] <= reach:
            last += 1
        if last - first > best:
            best, best_start = last - first, start
    start = bisect_left(cells, cells[best_start] - WIDTH // 4, begin, best_start)
    return start, _reach(cells, start, end, WIDTH)


def _reach(cells: Sequence[int], start: int, end: int, width: int) -> int:
    """The end of the longest stretch of no more than so many cells."""
    return bisect_right(cells, cells[start] + width, start, end + 1) - 1
