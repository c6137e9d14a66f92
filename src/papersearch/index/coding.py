"""Stored objects as codes of words: learning the words of a segment, and writing objects by them (codebook reads them).

A *token* is what a pattern cuts a text into: a word with the blank before it, digits, a few other characters, or a run
of Chinese, which is cut further into words that are known. Tokens that often follow each other in the first objects,
such as the keys of JSON with what stands between them, are one token, a *phrase*. While objects are collected, each of
their words is one character of a string: strings are what C counts and joins fastest.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, combinations_with_replacement, groupby, pairwise
from operator import add, itemgetter

from papersearch.analysis.normalize import CJK_RANGES, FIRST_CJK, is_cjk
from papersearch.analysis.words import quick_cutter
from papersearch.index.codebook import (
    DIGITS,
    END,
    FIRST_DIGITS,
    LITERAL,
    MAX_WORD,
    WORD_BYTES,
    WORD_COUNT,
    WORD_FIRST,
    Codebook,
)
from papersearch.index.flatfile import FlatWriter, narrow
from papersearch.index.lexicon import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OTHER = rf"(?:[^\\ A-Za-z0-9{CJK_RANGES}]|\\[a-z]?| (?![A-Za-z])){{1,16}}"
_TOKEN = rf" ?[A-Za-z]{{1,32}}|[{CJK_RANGES}]+|[0-9]{{1,4}}|{_OTHER}"
MOST_COLLECTED = 1 << 23
"""Characters that stand for words of collected objects: those of 40,000 papers, in up to 32 MB."""
MOST_WORDS = 1 << 20
"""Words for which there are characters."""
PHRASE_TOKENS = 1 << 15
"""Tokens in which phrases are looked for."""
PHRASE_ROUNDS = 8
"""Phrases of a round are tokens in the next one."""
PHRASES_A_ROUND = 256
PHRASE_SHARE = 32
"""A phrase stands in one of so many objects on average, and LEAST_PHRASES times."""
LEAST_PHRASES = 4
DIGITS_OF_CHARACTER, DIGITS_OF_WORD = 3.5, 4.5
"""Digits of the code of a Chinese character, and of a word that is there a few times: measured in digests of 10,000
papers."""
LEAST_IN_USE = 4
"""How often a word is taken to be there that has a code, and is not in the objects that were looked at."""
_BREAK = "\0"
"""Between objects whose words are characters; stands for no word."""


def decode(data: bytes) -> str:
    """What encode() made bytes of, lone surrogates as well. Raises UnicodeDecodeError."""
    return data.decode("utf-8", "surrogatepass")


class Cutter:
    """Cuts a run of Chinese into words it knows, the longest at each place, and single characters."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words: set[str] = set()
        """Words of two characters and more."""
        self._longest: dict[str, int] = {}
        """Two or three characters → length of the longest word that begins with them; below 0 if they are no word."""
        self.know(words)

    def know(self, words: Iterable[str]) -> None:
        """Take more words; of those that are not Chinese, none."""
        for word in set(words).difference(self._words):
            if len(word) > 1 and word >= FIRST_CJK and is_cjk(word):
                self._words.add(word)
                for begin in {word[:2], word[:3]}:
                    known = self._longest.get(begin, 0)
                    size = max(len(word), abs(known))
                    self._longest[begin] = size if begin == word or known > 0 else -size

    def __call__(self, run: str) -> list[str]:
        longest, words = self._longest.get, self._words
        found: list[str] = []
        take = found.append
        start, end = 0, len(run)
        run += _BREAK  # what is looked up at the end is no word
        while start < end:
            word = run[start : start + 2]
            size = longest(word, -1)
            if size == 2:
                take(word)
                start += 2
                continue
            if size < 0:
                word = word[0]
            if size != -1:
                longer = run[start : start + 3]
                size = longest(longer, -1)
                if size > 0:
                    word = longer
                if size not in (3, -1):
                    for stop in range(start + abs(size), start + 3, -1):
                        longer = run[start:stop]
                        if longer in words:
                            word = longer
                            break
            take(word)
            start += len(word)
        return found


class Characters(dict[str, str]):
    """Token → a character for each of its words."""

    def __init__(self, cut: Callable[[str], list[str]]) -> None:
        self._cut = cut
        self.words = [_BREAK]
        """The words by their characters."""

    def __missing__(self, token: str) -> str:
        if len(token) > 1 and is_cjk(token):
            words = self._cut(token)
            if len(words) > 1 and "".join(words) == token:
                return "".join(map(self.__getitem__, words))
        return self.new(token)

    def new(self, word: str) -> str:
        """The character of a word that may have none yet. Raises OverflowError where there are too many words."""
        char = self.get(word)
        if char is None:
            if len(self.words) >= MOST_WORDS:
                raise OverflowError
            char = self[word] = chr(len(self.words))
            self.words.append(word)
        return char


def learn_phrases(objects: Iterable[bytes], cut: Callable[[str], list[str]]) -> list[str]:
    """Tokens that often follow each other in these objects, joined."""
    chars, tokens = Characters(cut), re.compile(_TOKEN).findall
    text, objects_read = "", 0
    for data in objects:
        text += _BREAK + "".join(map(chars.__getitem__, tokens(decode(data))[:PHRASE_TOKENS]))
        objects_read += 1
        if len(text) > PHRASE_TOKENS:
            break
    least, first = max(LEAST_PHRASES, objects_read // PHRASE_SHARE), len(chars.words)
    for _ in range(PHRASE_ROUNDS):
        taken = {_BREAK}
        for pair, often in Counter(map(add, text, text[1:])).most_common(PHRASES_A_ROUND):
            if often < least:
                break
            phrase = "".join([chars.words[ord(char)] for char in pair])
            if taken.isdisjoint(pair) and len(encode(phrase)) <= MAX_WORD:
                taken.update(pair)  # what was replaced is not there any more
                text = text.replace(pair, chars.new(phrase))
    return [phrase for phrase in chars.words[first:] if not (is_cjk(phrase[0]) or is_cjk(phrase[-1]))]


def token_pattern(phrases: Iterable[str]) -> re.Pattern[str]:
    """What cuts texts into tokens; at each place the longest phrase that does not end within a word."""
    found = _one_of(sorted(phrases))
    return re.compile(f"{found}|{_TOKEN}" if found else _TOKEN)


def _one_of(texts: list[str]) -> str:
    """A pattern for the longest of the texts, which ascend. What they have in common is looked at once."""
    branches = []
    for _, group in groupby(filter(None, texts), itemgetter(0)):
        same = list(group)
        begin = _common(same[0], same[-1])
        rest = _one_of([text[len(begin) :] for text in same])
        if begin == same[0]:
            end = "(?![A-Za-z])" if begin[-1].isalpha() else "(?![0-9])" if begin[-1].isdigit() else ""
            rest = f"(?:{rest}|{end})" if rest else end
        elif "|" in rest:
            rest = f"(?:{rest})"
        branches.append(re.escape(begin) + rest)
    return "|".join(branches)


def _common(one: str, other: str) -> str:
    """What both begin with."""
    return one[: next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))]


class Collector:
    """The objects of a segment whose codebook is still to be made."""

    def __init__(self, first: Sequence[bytes], words: Iterable[str]) -> None:
        """`first` objects, from which phrases are learned, and Chinese words. Takes none of them."""
        self._cutter: Cutter | None = None
        cut = quick_cutter()
        if cut is None:
            cut = self._cutter = Cutter(words)
        self._tokens = token_pattern(learn_phrases(first, cut)).findall
        self._chars = Characters(cut)
        self._objects: list[str] = []
        self._size = 0

    def know(self, words: Iterable[str]) -> None:
        """Take Chinese words that are in objects to come."""
        if self._cutter is not None:
            self._cutter.know(words)

    def add(self, stored: bytes) -> bool:
        """Take an object; False where there is no room for it."""
        if self._size >= MOST_COLLECTED:
            return False
        try:
            text = "".join(map(self._chars.__getitem__, self._tokens(decode(stored))))
        except OverflowError:
            return False
        self._objects.append(text)
        self._size += len(text)
        return True

    def codes(self) -> Codes:
        """The codes for what was collected."""
        counts: Counter[int] = Counter()
        for text in self._objects:
            counts.update(_numbers(text))
        words = self._chars.words
        return Codes.learned({words[number]: often for number, often in counts.items()})

    def coded(self, codes: Codes) -> Iterator[bytes]:
        """The objects by these codes, in order."""
        code_of = list(map(codes.__getitem__, self._chars.words))
        for text in self._objects:
            yield joined(map(code_of.__getitem__, _numbers(text)))

    def objects(self, step: int = 1) -> Iterator[bytes]:
        """Each so many-th object as it was."""
        words = self._chars.words
        for text in self._objects[::step]:
            yield encode("".join(map(words.__getitem__, _numbers(text))))


def _numbers(text: str) -> array[int]:
    """The characters as numbers."""
    return array("I", text.encode("utf-32", "surrogatepass"))[1:]  # without the mark of the order of bytes


class Codes(dict[str, str]):
    """Word → the digits that it is written as: its code, or, where it is no word of the codebook, those of its parts or
    a literal, which are made anew each time."""

    def __init__(self, firsts: Sequence[int], words: Sequence[Sequence[str]]) -> None:
        """In the order of DIGITS: how many first digits codes of so many digits have, and the words that have these,
        in the order of their codes."""
        self._firsts, self._words = firsts, words
        first = 0
        for digits, several, of_digits in zip(DIGITS, firsts, words, strict=True):
            for code, word in enumerate(of_digits, first << 4 * (digits - 1)):
                self[word] = f"{code:0{digits}x}"
            first += several
        self._cut: Cutter | None = None
        self._tokens: Callable[[str], list[str]] | None = None

    @classmethod
    def learned(cls, counts: Mapping[str, int]) -> Codes:
        """Codes for words of which there are so many each: as short as can be."""
        saved = _saved_by(counts)
        often, cut = {word: counts[word] for word in saved}, Cutter(saved)
        for word, times in counts.items():
            if times > 1 and word not in saved and len(word) > 1 and is_cjk(word):
                for part in cut(word):
                    if part in saved:
                        often[part] += times
        codes = cls(*_codebook(often, saved))
        codes._cut = cut
        return codes

    @classmethod
    def of(cls, book: Codebook) -> Codes:
        """The codes of a codebook. Raises UnicodeDecodeError."""
        firsts = [room >> 4 * (digits - 1) for digits, room in zip(DIGITS, book.room, strict=True)]
        return cls(firsts, [list(map(decode, words)) for words in book.words()])

    def __missing__(self, word: str) -> str:
        if len(word) == 1 or not is_cjk(word):
            return _literal(word)
        if self._cut is None:
            self._cut = Cutter(self)
        digits, unknown = "", ""
        for part in self._cut(word):
            for known in [part] if part in self else part:
                if known not in self:
                    unknown += known
                    continue
                digits += (_literal(unknown) if unknown else "") + self[known]
                unknown = ""
        return digits + _literal(unknown) if unknown else digits

    def encode(self, data: bytes) -> bytes:
        """An object by these codes. Raises UnicodeDecodeError."""
        if self._tokens is None:
            self._tokens = _tokens_by(self)
        return joined(map(self.__getitem__, self._tokens(decode(data))))

    def size(self) -> int:
        """Bytes of the codebook."""
        return sum(map(len, map(encode, self)))

    def write(self, file: FlatWriter) -> None:
        """Write the sections of the codebook."""
        counts = [Counter([len(encode(word)) for word in words]) for words in self._words]
        longest = max([size for sizes in counts for size in sizes], default=0)
        file.put(WORD_FIRST, bytes(self._firsts))
        file.put(WORD_BYTES, encode("".join(["".join(words) for words in self._words])))
        file.put(WORD_COUNT, narrow([sizes[size] for sizes in counts for size in range(1, longest + 1)]))


class Translation(dict[str, str]):
    """Piece of the codes of one codebook → what it is by other codes. What is in no codebook stays as it is."""

    def __init__(self, book: Codebook, codes: Codes) -> None:
        self._book, self._codes = book, codes
        self[LITERAL] = ""

    def __missing__(self, piece: str) -> str:
        word = self._book[piece]
        if piece[0] == LITERAL:
            return piece
        code = self[piece] = self._codes[decode(word)]
        return code

    def of(self, data: memoryview[Any]) -> bytes:
        """What the codes of an object are then."""
        return joined(map(self.__getitem__, self._book.pieces(data.hex())))


def merged_codes(coded: Iterable[tuple[Codebook, Iterator[bytes], int]], others: Iterable[bytes]) -> Codes:
    """Codes for objects of which some have codes already. Raises UnicodeDecodeError.

    Args:
        coded: codebooks, with the codes of objects by each: one of so many, for which all words of the book are in use.
        others: objects without codes.
    """
    counts: Counter[str] = Counter()
    for book, objects, one_of in coded:
        found: Counter[str] = Counter()
        for data in objects:
            found.update(book.pieces(data.hex()))
        times = {book[piece]: often * one_of for piece, often in found.items() if piece[0] != LITERAL}
        if one_of > 1:
            times = {word: max(times.get(word, 0), LEAST_IN_USE) for words in book.words() for word in words}
        for word, often in times.items():
            counts[decode(word)] += often
    chars: Characters | None = None
    more: Counter[int] = Counter()
    for data in others:
        if chars is None:
            chars, tokens = Characters(Cutter(counts)), _tokens_by(counts)
        try:
            more.update(_numbers("".join(map(chars.__getitem__, tokens(decode(data))))))
        except OverflowError:
            break
    for number, often in more.items():
        assert chars is not None
        counts[chars.words[number]] += often
    return Codes.learned(counts)


def _tokens_by(words: Iterable[str]) -> Callable[[str], list[str]]:
    """What cuts texts into tokens where these words are known, some of them phrases."""
    is_token = re.compile(_TOKEN).fullmatch
    return token_pattern([word for word in words if not is_token(word)]).findall


def joined(codes: Iterable[str]) -> bytes:
    """Codes one after the other, as bytes."""
    digits = "".join(codes)
    return bytes.fromhex(digits + LITERAL if len(digits) & 1 else digits)


def _literal(text: str) -> str:
    return LITERAL + encode(text).hex() + END


def _saved_by(counts: Mapping[str, int]) -> dict[str, float]:
    """Word → digits that its code saves, for the words that are worth their place in a codebook."""
    saved = {}
    for word, times in counts.items():
        if times > 1:
            size = len(encode(word))
            # without a code: one for each character, or a literal
            without = DIGITS_OF_CHARACTER * len(word) if 1 < len(word) < size and is_cjk(word) else 2 * size + 3
            saving = times * (without - DIGITS_OF_WORD)
            if size <= MAX_WORD and saving > 2 * size:
                saved[word] = saving
    return saved


def _codebook(often: Mapping[str, int], saved: Mapping[str, float]) -> tuple[Sequence[int], list[list[str]]]:
    """(how many first digits, which words) codes of so many digits have, in the order of DIGITS: as takes the fewest
    digits in all."""
    words = sorted(saved, key=lambda word: (-saved[word], word))
    most = list(accumulate(sorted(often.values(), reverse=True), initial=0))
    saving = list(accumulate(map(saved.__getitem__, words), initial=0))
    last = len(words)

    def all_digits(firsts: Sequence[int]) -> float:
        taken, before = 0.0, 0
        for digits, end in zip(DIGITS, _ends(firsts), strict=True):
            here = most[min(end, last)]
            taken, before = taken + digits * (here - before), here
        # The others take what they save less with a code, and what a code would.
        return taken + DIGITS_OF_WORD * (most[last] - before) + saving[last] - saving[min(end, last)]

    cuts = combinations_with_replacement(range(len(FIRST_DIGITS) + 1), len(DIGITS) - 1)
    firsts = min(
        [[end - start for start, end in pairwise([0, *cut, len(FIRST_DIGITS)])] for cut in cuts], key=all_digits
    )
    ends = _ends(firsts)
    words = sorted(words[: ends[-1]], key=lambda word: (-often[word], word))
    of_digits = [words[start:end] for start, end in pairwise([0, *ends])]
    return firsts, [sorted(several, key=lambda word: (len(encode(word)), word)) for several in of_digits]


def _ends(firsts: Sequence[int]) -> list[int]:
    """How many words may have codes of so many digits or fewer, in the order of DIGITS."""
    return list(accumulate([several << 4 * (digits - 1) for digits, several in zip(DIGITS, firsts, strict=True)]))
