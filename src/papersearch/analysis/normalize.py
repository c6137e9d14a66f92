"""Original text → the form in which it is compared, with offsets back into the original.

Width, compatibility forms (NFKC), accents of Latin, Greek and Cyrillic letters, traditional Chinese characters and
Markdown's backslash escapes are folded here. Case is kept, because CamelCase tells where a word has parts; `fold()`
takes it away afterwards.
"""

from __future__ import annotations

import os
import re
import unicodedata

_ESCAPABLE = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_UNICODE_DASHES = frozenset("‐‑‒–—―−﹣－")
_QUOTE_MARKS = frozenset("‘’‛′ʼ＇")
_INVISIBLE = frozenset(
    "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_PLAIN = re.compile(r"[\x00-\x5b\x5d-\x7f]*\Z")
"""ASCII without a backslash: nothing to fold but case."""

_cache: dict[str, str] = {}
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


def normalize(text: str) -> tuple[str, list[int] | range]:
    """(normalized text, for each of its characters the index in `text` it comes from).

    One character may become several (`㎡`) or none (a combining accent, the backslash of an escape): where a piece
    of normalized text ends, the original ends before the origin of the next character, see `source_end()`.
    """
    if _PLAIN.match(text):
        return text, range(len(text))
    out: list[str] = []
    origins: list[int] = []
    cache = _cache
    last = len(text) - 1
    for i, char in enumerate(text):
        if char == "\\" and i < last and text[i + 1] in _ESCAPABLE:
            continue
        folded = cache.get(char)
        if folded is None:
            if len(cache) > 50_000:
                cache.clear()
            folded = cache[char] = _fold_char(char)
        if len(folded) == 1:
            out.append(folded)
            origins.append(i)
        elif folded:
            out += folded
            origins += [i] * len(folded)
    return "".join(out), origins


def source_end(text: str, origin: int) -> int:
    """The end in `text` of the character at `origin`, combining marks after it included."""
    end = origin + 1
    while end < len(text) and not _cache.get(text[end], text[end]):
        end += 1
    return end


def fold(normalized: str) -> str:
    """Case taken away: what two spellings of one word have in common."""
    return normalized.casefold()


def exact_value(value: str) -> str:
    """The form in which values of exact fields are kept and compared: width, accents, case and outer blanks folded."""
    return " ".join(fold(normalize(value)[0]).split())


CJK_CLASS = (
    "\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
CJK = re.compile(f"[{CJK_CLASS}]")
