"""Original text → the form in which it is compared, with offsets back into the original.

Width, compatibility forms (NFKC), accents of Latin, Greek and Cyrillic letters, traditional Chinese characters and
Markdown's backslash escapes are folded here. Case is kept, because CamelCase tells where a word has parts; `fold()`
takes it away afterwards.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence

_ESCAPABLE = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_UNICODE_DASHES = frozenset("‐‑‒–—―−﹣－")
_QUOTE_MARKS = frozenset("‘’‛′ʼ＇")
_INVISIBLE = frozenset(
    "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)

FEW_UNEVEN = 64
"""Up to so many characters are looked for in a text one by one."""
LARGEST_TABLE = 50_000
"""Characters that are remembered: more than any text of people has, few enough for a hostile one."""

_simplified: dict[str, str] = {}


def _read_simplified() -> dict[str, str]:
    """Traditional → simplified character, read when the first Chinese character comes."""
    if not _simplified:
        with open(os.path.join(os.path.dirname(__file__), "traditional.txt"), encoding="utf-8") as file:
            traditional, simplified = (line.rstrip("\n") for line in file if not line.startswith("#"))
        _simplified.update(zip(traditional, simplified, strict=True))
    return _simplified


def _accents_go(code: int) -> bool:
    return code < 0x0530 or 0x1E00 <= code < 0x2000


def _fold_char(char: str) -> str:
    if char in _UNICODE_DASHES:
        return "-"
    if char in _QUOTE_MARKS:
        return "'"
    if char in _INVISIBLE or 0xD800 <= ord(char) < 0xE000:
        return ""
    wide = unicodedata.normalize("NFKC", char)
    bare = []
    for c in wide:
        if unicodedata.combining(c) and _accents_go(ord(c)):
            continue
        if ord(c) > 0x7F and _accents_go(ord(c)):
            bare += [d for d in unicodedata.normalize("NFKD", c) if not unicodedata.combining(d)]
        elif ord(c) >= 0x3400:
            bare.append(_read_simplified().get(c, c))
        else:
            bare.append(c)
    return "".join(bare)


class _Table(dict[int, str]):
    """Code point → what it is folded to, filled as characters come. `uneven` are those that do not become just one,
    `same` those that stay as they are."""

    def __init__(self) -> None:
        self.uneven: set[str] = {"\\"}
        self.same: set[str] = set()

    def __missing__(self, code: int) -> str:
        if len(self) > LARGEST_TABLE:
            self.clear()
            self.same.clear()
        char = chr(code)
        if 0x4E00 <= code <= 0x9FFF:  # most characters of most notes, and nothing else can happen to them
            folded = self[code] = (_simplified or _read_simplified()).get(char, char)
        else:
            folded = self[code] = _fold_char(char)
        if len(folded) != 1:
            self.uneven.add(char)
        elif folded == char != "\\":
            self.same.add(char)
        return folded


_table = _Table()


def normalize(text: str) -> tuple[str, Sequence[int]]:
    """(normalized text, for each of its characters the index in `text` it comes from).

    One character may become several (`㎡`) or none (a combining accent, the backslash of an escape): where a piece
    of normalized text ends, the original ends before the origin of the next character, see `source_end()`.
    """
    if text.isascii() and "\\" not in text:  # nothing to fold but case
        return text, range(len(text))
    table = _table
    if table.same.issuperset(text):
        return text, range(len(text))
    translated = text.translate(table)
    uneven = table.uneven
    if not any(map(text.__contains__, uneven)) if len(uneven) <= FEW_UNEVEN else uneven.isdisjoint(text):
        return translated, range(len(text))
    out: list[str] = []
    origins: list[int] = []
    last = len(text) - 1
    even = 0
    for i in [i for i, char in enumerate(text) if char in uneven]:
        out.append(text[even:i].translate(table))
        origins += range(even, i)
        even = i + 1
        if text[i] == "\\" and i < last and text[even] in _ESCAPABLE:
            continue
        folded = table[ord(text[i])]
        out.append(folded)
        origins += [i] * len(folded)
    out.append(text[even:].translate(table))
    origins += range(even, len(text))
    return "".join(out), origins


def normalized(text: str) -> str:
    """The normalized text alone, in half the time."""
    if text.isascii() and "\\" not in text:
        return text
    return normalize(text)[0] if "\\" in text else text.translate(_table)


def source_end(text: str, origin: int) -> int:
    """The end in `text` of the character at `origin`, combining marks after it included."""
    end = origin + 1
    while end < len(text) and text[end] in _table.uneven and not _table[ord(text[end])]:
        end += 1
    return end


def fold(normalized: str) -> str:
    """Case taken away: what two spellings of one word have in common."""
    return normalized.casefold()


def exact_value(value: str) -> str:
    """The form in which values of exact fields are kept and compared: width, accents, case and outer blanks folded."""
    return " ".join(fold(normalize(value)[0]).split())


_CJK_RANGES = (
    (0x3005, 0x3007), (0x3021, 0x3029), (0x3040, 0x30FF), (0x3105, 0x312F), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
FIRST_CJK = chr(min(_CJK_RANGES)[0])
CJK_RANGES = "".join(f"{chr(low)}-{chr(high)}" for low, high in sorted(_CJK_RANGES, key=lambda r: r[0] != 0x4E00))
"""The same within the brackets of a pattern, the most frequent one first."""


def is_cjk(char: str) -> bool:
    """Whether the first character belongs to a script written without blanks: Han, kana, bopomofo."""
    code = ord(char[0])
    return 0x4E00 <= code <= 0x9FFF or (code > 0x3000 and any(low <= code <= high for low, high in _CJK_RANGES))


class _Shadows(dict[int, int]):
    """Code point → itself, or that of CJK for every character of such a script."""

    def __missing__(self, code: int) -> int:
        if len(self) > LARGEST_TABLE:
            self.clear()
        shadow = self[code] = ord(CJK) if is_cjk(chr(code)) else code
        return shadow


CJK = "一"
"""Stands for all characters of scripts without blanks in what shadow() returns."""
_shadows = _Shadows()


def shadow(text: str) -> str:
    """The text with every Chinese character made the same one, so that patterns need not list a hundred thousand."""
    return text.translate(_shadows)
