"""What text needs to be shown safely and straight: widths in cells, wrapping, colour, no control characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from papersearch.record import Record

# C0 but for tab and line feed, DEL, C1, line and paragraph separators, all that reorders or steers bidi text, and lone
# surrogates: bytes in names of files that are not UTF-8.
_UNSAFE = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f\ud800-\udfff]"
_BLANKS = str.maketrans("\t\n\r", "   ")
_STYLES = {"bold": "1", "dim": "2", "mark": "1;33", "place": "36"}

# Kinsoku: closing marks do not begin a line, opening ones do not end it.
_NOT_FIRST = frozenset("!%),.:;?]}·、。〉》」』】〕〗〞！％），．：；？］｝～’”…—々")
_NOT_LAST = frozenset("([{〈《「『【〔〖〝（［｛‘“$＄￥")

NARROWEST = 20
"""Columns below which nothing is laid out any narrower."""


def block(text: str) -> str:
    """Text of many lines in which no character can steer a terminal: each that could is shown as U+FFFD."""
    return text if text.isprintable() else re.sub(_UNSAFE, "\ufffd", text)


def line(text: str) -> str:
    """The same on one line. Character offsets stay what they were."""
    return block(text.translate(_BLANKS))


@lru_cache(maxsize=4096)
def _cells_of(char: str) -> int:
    if (unicodedata.category(char) in ("Mn", "Me", "Cf") and char != "\u00ad") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cells(text: str) -> int:
    """Columns that the text takes on a terminal: East Asian wide and full-width characters 2, combining ones 0."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _may_break(before: str, after: str) -> bool:
    if after == " " or _cells_of(after) == 0:
        return False
    if before == " ":
        return True
    wide = _cells_of(before) == 2 or _cells_of(after) == 2
    return wide and after not in _NOT_FIRST and before not in _NOT_LAST


def wrap(text: str, columns: int) -> list[tuple[int, int]]:
    """[start, end) of each line of the text when it is laid out in so many columns; blanks at the breaks are left out.

    Breaks after blanks and between Chinese characters; a word longer than a line is cut.
    """
    lines: list[tuple[int, int]] = []
    start, stop = len(text) - len(text.lstrip(" ")), len(text.rstrip(" "))
    while start < stop:
        used, best, at = 0, start, start
        while at < stop:
            used += _cells_of(text[at])
            if at > start and _may_break(text[at - 1], text[at]):
                best = at
            if used > columns and text[at] != " ":
                break
            at += 1
        if at < stop:
            at = best if best > start else max(at, start + 1)
        lines.append((start, at - (len(text[start:at]) - len(text[start:at].rstrip(" ")))))
        start = at
        while start < stop and text[start] == " ":
            start += 1
    return lines


def fit(text: str, columns: int) -> str:
    """The text in exactly so many columns: cut with an ellipsis, or filled up with blanks."""
    if cells(text) > columns:
        used, kept = 1, 0
        while used + _cells_of(text[kept]) <= columns:
            used += _cells_of(text[kept])
            kept += 1
        text = text[:kept] + "…"
    return text + " " * (columns - cells(text))


def merged(spans: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The spans in order, inside [0, length), none empty, none touching the next."""
    done: list[tuple[int, int]] = []
    for start, end in sorted((max(0, start), min(end, length)) for start, end in spans):
        if start >= end:
            continue
        if done and start <= done[-1][1]:
            done[-1] = done[-1][0], max(end, done[-1][1])
        else:
            done.append((start, end))
    return done


class Screen(Record):
    """Where text goes. `columns` is None on a pipe: one line a hit, nothing wrapped or aligned."""

    columns: int | None = None
    color: bool = False

    @property
    def width(self) -> int:
        """Columns to lay out in; of use on a terminal only."""
        return max(self.columns or 0, NARROWEST)

    def paint(self, style: str, text: str) -> str:
        """The text in one of the styles bold, dim, mark and place; as it is where there are no colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and text else text

    def marked(self, text: str, spans: Iterable[tuple[int, int]], start: int = 0, end: int | None = None) -> str:
        """text[start:end] with the spans (offsets into the whole text) marked."""
        end = len(text) if end is None else end
        if not self.color:
            return text[start:end]
        parts, at = [], start
        for first, last in merged(spans, len(text)):
            first, last = max(first, start), min(last, end)
            if first < last:
                parts += [text[at:first], self.paint("mark", text[first:last])]
                at = last
        return "".join([*parts, text[at:end]])
