"""Normalized text → units → Tokens.

A *unit* is what one position counts: a Chinese character, or a run of letters and digits. A *chain* is units joined
by single symbols without a blank: `end-to-end`, `256*1*768`, `x_i`, `OCR-2.0`. Words, their parts, joined forms and
stems are terms at the position of their first unit, so that phrases hold whatever form they are written in.
"""

from __future__ import annotations

import re
from array import array
from functools import cache, lru_cache
from itertools import compress, islice, repeat
from operator import add
from sys import intern
from typing import NamedTuple

from papersearch.analysis.normalize import CJK, CJK_RANGES, FIRST_CJK, fold, normalize, shadow, source_end
from papersearch.analysis.stem import stem
from papersearch.analysis.words import SEAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from papersearch.analysis.words import Cutter

STEM_MARK = "~"
"""Begins the terms that stand for a stem, so that they are never taken for a word as written."""
MAX_TERM = 64
"""Longer words (base64, hashes) are terms by their first 64 characters: the index stays small, prefixes still find."""

PART_FACTOR = 0.5
"""A part of a word (`seq` of `LightSeq`) counts half a word: the whole outranks its parts."""


class Unit(NamedTuple):
    """A run of letters and digits, or of Chinese characters, in normalized text with its case."""

    text: str
    position: int
    """Position of its first unit; a Chinese run takes as many positions as it has characters."""
    origins: Sequence[int]
    """For each character its index in the original text."""
    cjk: bool


class Token(NamedTuple):
    """A term at a position. `text[start:end]` of the original is what it stands for."""

    term: str
    position: int
    start: int
    end: int
    factor: float = 1.0


_compiled = cache(re.compile)
"""As re.compile(), which takes a while to find what it has compiled before."""

# Read off the shadow of a text, in which every Chinese character is the same one.
_UNIT = re.compile(rf"{CJK}+(?:[ \t]*\n[ \t]*{CJK}+)*|[^\W_{CJK}]+")
_CONNECTORS = frozenset("-_./*+&^:@'×·|=,%")
_TAILS = frozenset("+#")
# These are compiled when a text first needs them, which most queries and the lines they show do not.
_PROGRAMMING = r"(?i)(?:(?<![^\W_])[a-z]\+\+|(?<![^\W_])[acfj]#)(?![^\W_])"
_PARTS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\WA-Za-z\d_]+"
_CASED = r"[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Za-z]\d|\d[A-Za-z]"
_BLOCK_END = r"\n[ \t]*(?:\n|[-*+>#|]|\d+[.)])"
_VERSION = r"([a-z]{2,})v(\d+)\Z"
_LAST_UNIT = r"[^\W_]+\Z"
_PIECE = (
    rf"(\n[ \t]*[\n\-*+>#|])|([{CJK_RANGES}]+(?:[ \t]*\n[ \t]*[{CJK_RANGES}]+)*)"
    rf"|([^\W_{CJK_RANGES}]+)((?:[{re.escape(''.join(sorted(_CONNECTORS)))}][^\W_{CJK_RANGES}]+)+)?"
)
"""The end of a block (1), a run of Chinese (2), a word (3) that may be the first of a chain (4)."""


def units(text: str) -> tuple[list[Unit], str]:
    """(units in order, normalized text with its case). Positions count from 0 and skip one at a paragraph's end."""
    normalized, origins = normalize(text)
    found: list[Unit] = []
    position = 0
    last_end = 0
    for match in _UNIT.finditer(shadow(normalized)):
        start, end = match.span()
        if last_end and normalized.find("\n", last_end, start) >= 0:
            position += re.compile(_BLOCK_END).search(normalized, last_end, start) is not None
        last_end = end
        written = match.group()
        if written[0] == CJK:
            run, places = normalized[start:end], origins[start:end]
            if "\n" in written:  # without the blanks of line ends
                places = [place for place, char in zip(places, run, strict=True) if not char.isspace()]
                run = "".join(run.split())
            found.append(Unit(run, position, places, True))
            position += len(run)
        else:
            found.append(Unit(normalized[start:end], position, origins[start:end], False))
            position += 1
    return found, normalized


def chains(text: str) -> tuple[list[list[Unit]], list[str]]:
    """Units grouped by chain, and for each group its text as written in normalized form (`256*1*768`)."""
    found, _ = units(text)
    groups: list[list[Unit]] = []
    written: list[str] = []
    for unit in found:
        if groups and not unit.cjk and not groups[-1][-1].cjk:
            before = groups[-1][-1]
            if text[before.origins[-1] + 1 : unit.origins[0]].isspace():  # most are; nothing else can come of that
                groups.append([unit])
                written.append(unit.text)
                continue
            between = text[source_end(text, before.origins[-1]) : unit.origins[0]].replace("\\", "")
            between = normalize(between)[0]
            if len(between) == 1 and between in _CONNECTORS and _joins(before.text, between, unit.text):
                groups[-1].append(unit)
                written[-1] += between + unit.text
                continue
        groups.append([unit])
        written.append(unit.text)
    return groups, written


def _joins(before: str, connector: str, after: str) -> bool:
    """Whether a symbol between two words makes them one: a comma or colon only does in shapes such as `[4,4,c]`."""
    if connector in ",:=|":
        return (len(before) == 1 or before.isdigit()) and (len(after) == 1 or after.isdigit())
    return True


def parts_of(word: str) -> list[str]:
    """Parts of a CamelCase or letter-digit word, folded: `LightSeq2` → light, seq, 2, lightseq; `yolov7` → yolov,
    yolo, 7. Single letters are no parts."""
    if word.isdigit() or (word.isalpha() and (word[1:].islower() or word.isupper())) or not re.search(_CASED, word):
        return []
    pieces = [fold(p) for p in re.findall(_PARTS, word)]
    whole = fold(word)
    parts = [p for p in pieces if len(p) > 1 or p.isdigit()]
    letters = whole.rstrip("0123456789")
    if letters != whole and len(letters) > 1 and letters.isalpha():
        parts.append(letters)
        if version := re.match(_VERSION, whole):
            parts.append(version.group(1))
            parts.append("v" + version.group(2))
    return [p for p in dict.fromkeys(parts) if p != whole]


@lru_cache(maxsize=65_536)
def _forms(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Terms of one word, as written and its stem, and those of its parts, which count less."""
    term = fold(word)[:MAX_TERM]
    root = stem(term)
    stems = (STEM_MARK + root,) if root != term else ()
    return (term, *stems), tuple([part[:MAX_TERM] for part in parts_of(word)])


def _forms_with_factors(word: str) -> list[tuple[str, float]]:
    terms, parts = _forms(word)
    return [*zip(terms, repeat(1.0)), *zip(parts, repeat(PART_FACTOR))]


def _ends(text: str, origins: Sequence[int]) -> Sequence[int]:
    """source_end() of each. Origins that are a range are those of a text of which each character became one."""
    if type(origins) is range:
        return range(origins.start + 1, origins.stop + 1)
    return [source_end(text, origin) for origin in origins]


def tokens(text: str, cut: Cutter, start: int = 0) -> tuple[list[Token], list[Token], int]:
    """(word tokens, gram tokens, number of positions taken), positions from `start` on.

    Words: jieba's words of Chinese runs; of letters the word as written, its stem, its parts, and for a chain the
    joined form (`endtoend`) and the form with its symbols (`256*1*768`). Grams: each pair of neighbouring Chinese
    characters, or the character of a run of one: with the positions they find any substring.
    """
    words: list[Token] = []
    grams: list[Token] = []
    new = tuple.__new__  # a third of the time of Token(), which a book of notes calls a million times
    groups, written = chains(text)
    taken = 0
    for group, whole in zip(groups, written, strict=True):
        first, last = group[0], group[-1]
        at = start + first.position
        if first.cjk:
            run, origins = first.text, first.origins
            taken = first.position + len(run)
            ends = _ends(text, origins)
            for word, offset in cut(run):
                words.append(new(Token, (word, at + offset, origins[offset], ends[offset + len(word) - 1], 1.0)))
            if len(run) == 1:
                grams.append(Token(run, at, origins[0], ends[0]))
            grams += [
                new(Token, (one + other, at + i, origin, end, 1.0))
                for i, (one, other, origin, end) in enumerate(zip(run, run[1:], origins, ends[1:]))  # noqa: B905
            ]
            continue
        taken = last.position + 1
        if len(group) == 1:
            begin, end = first.origins[0], _ends(text, first.origins[-1:])[0]
            words += [new(Token, (term, at, begin, end, factor)) for term, factor in _forms_with_factors(first.text)]
        else:
            ends = [_ends(text, unit.origins[-1:])[0] for unit in group]
            end = ends[-1]
            for term, i, j, factor in _chain_forms([unit.text for unit in group], whole):
                words.append(Token(term, start + group[i].position, group[i].origins[0], ends[j], factor))
        follows = text[end : end + 1] in _TAILS
        tail = re.compile(_PROGRAMMING).match(text, last.origins[0]) if follows else None
        if tail:
            words.append(Token(fold(tail.group()), start + last.position, last.origins[0], tail.end()))
    return words, grams, taken


def _chain_forms(texts: Sequence[str], whole: str) -> list[tuple[str, int, int, float]]:
    """Terms of units that make one chain: each with the first and the last unit that it stands for, and its
    factor. `whole`: the chain as written."""
    found = [(term, i, i, factor) for i, text in enumerate(texts) for term, factor in _forms_with_factors(text)]
    if len(texts) == 1:
        return found
    last = len(texts) - 1
    joined = fold("".join(texts))[:MAX_TERM]
    found.append((joined, 0, last, 1.0))
    if (root := stem(joined)) != joined:
        found.append((STEM_MARK + root, 0, last, 1.0))
    symbols = fold(whole)[:MAX_TERM]
    if any(c in symbols for c in _CONNECTORS - {"-", "_"}) or len(joined) <= 4:
        found.append((symbols, 0, last, 1.0))
    return found


Term = tuple[str, int, float]
"""A term at a position, with a boost."""
MANY_TERMS = 1 << 15
"""Terms from which on equal ones are one object: above what papers have, below what counts in memory."""


class Terms:
    """Terms with their positions and boosts, in no order; kept in columns, those of one boost together."""

    __slots__ = ("columns",)

    def __init__(self) -> None:
        self.columns: dict[float, tuple[list[str], array[int]]] = {}
        """Boost → terms, and a position for each."""

    @classmethod
    def of(cls, rows: Iterable[Term]) -> Terms:
        """As columns. Raises OverflowError for a position that no array holds."""
        found = cls()
        for term, position, boost in rows:
            terms, positions = found._column(boost)
            positions.append(position)
            terms.append(term)
        return found

    def _column(self, boost: float) -> tuple[list[str], array[int]]:
        column = self.columns.get(boost)
        if column is None:
            column = self.columns[boost] = [], array("I")
        return column

    def add(self, boost: float, terms: Sequence[str], positions: Iterable[int]) -> None:
        """Take terms of one boost, with a position for each."""
        if terms:
            known, places = self._column(boost)
            known += map(intern, terms) if len(known) > MANY_TERMS else terms
            places.extend(positions)

    def take(self, others: Terms) -> None:
        """Take all terms of others, which are not to be used any more."""
        if not self.columns:
            self.columns = others.columns
            return
        for boost, column in others.columns.items():
            self.add(boost, *column)

    def chinese(self) -> list[str]:
        """The terms that are Chinese, and some others."""
        return [term for terms, _ in self.columns.values() for term in terms if term >= FIRST_CJK]

    def __len__(self) -> int:
        return sum(len(terms) for terms, _ in self.columns.values())

    def __iter__(self) -> Iterator[Term]:
        for boost, (terms, positions) in self.columns.items():
            yield from zip(terms, positions, repeat(boost))


class Pairs:
    """The pairs of neighbouring characters of runs, or the one of a run of one: terms with the boost 1, each at the
    position of its first character. Those that are words of the text besides can be left out."""

    __slots__ = ("_size", "kept", "starts", "texts")

    def __init__(
        self, text: str = "", starts: Iterable[int] = (), kept: bytes | bytearray = b"", size: int = 0
    ) -> None:
        """`text`: the runs with SEAM between them; `size`: how many pairs they have."""
        self.texts = [text] if text else []
        self.starts = array("I", starts)
        """Position of the first character of each run."""
        self.kept = bytearray(kept)
        """For each character of a text, and for its end, whether the term that begins there is kept: 1, or 0 where it
        is left out. What stands where none begins means nothing."""
        self._size = size

    def take(self, others: Pairs) -> None:
        """Take all pairs of others."""
        self.texts += others.texts
        self.starts += others.starts
        self.kept += others.kept
        self._size += len(others)

    def runs(self) -> Iterable[tuple[str, int]]:
        """The runs, each with the position of its first character."""
        return zip(SEAM.join(self.texts).split(SEAM) if self.texts else (), self.starts, strict=True)

    def columns(self) -> tuple[list[str], array[int]]:
        """The terms that are kept, and a position for each."""
        terms: list[str] = []
        positions = array("I")
        begin = 0
        for run, start in self.runs():
            count = len(run) - 1 or 1
            kept = self.kept[begin : begin + count]
            terms += compress(map(add, run, islice(run, 1, None)) if len(run) > 1 else run, kept)
            positions.extend(compress(range(start, start + count), kept))
            begin += len(run) + 1
        return terms, positions

    def __len__(self) -> int:
        """How many there are, with those that are left out: what a text is long."""
        return self._size

    def __iter__(self) -> Iterator[Term]:
        yield from zip(*self.columns(), repeat(1.0))


_Column = tuple[tuple[str, ...], tuple[int, ...]]


@lru_cache(maxsize=16_384)
def _linked_forms(written: str) -> tuple[int, _Column, _Column]:
    """(number of units, terms and parts of words, each with the number of its first unit) of units with single symbols
    between them, which may make several chains."""
    units_here = re.findall(r"[^\W_]+", written)
    forms: list[tuple[str, int, float]] = []
    first, whole, at = 0, "", 0
    for i, text in enumerate(units_here):
        after = units_here[i + 1] if i + 1 < len(units_here) else ""
        at += len(text)
        connector = written[at : at + 1]
        at += 1
        whole += text
        if after and _joins(text, connector, after):
            whole += connector
            continue
        chain = units_here[first : i + 1]
        forms += [(term, first + k, factor) for term, k, _, factor in _chain_forms(chain, whole)]
        first, whole = i + 1, ""
    terms, parts = ([(term, i) for term, i, factor in forms if factor == kind] for kind in (1.0, PART_FACTOR))
    return len(units_here), _unzipped(terms), _unzipped(parts)


def _unzipped(rows: Iterable[tuple[str, int]]) -> _Column:
    terms, numbers = [*zip(*rows, strict=True)] or ((), ())
    return terms, numbers


def terms_of(text: str, cut: Cutter, start: int, boost: float) -> tuple[Terms, Pairs, int]:
    """What tokens() finds, without its place in the text: for who indexes it, in half of the time or less.

    Returns:
        The words, with their factors times `boost`; the grams, of which those are left out that are words at the same
        position; the number of positions taken.
    """
    words, grams = Terms(), Pairs()
    normalized, origins = normalize(text)
    if type(origins) is not range:  # what joins a chain is then to be looked for in the text itself
        pieces_here = list(pieces(text, ODD_PIECE))
        if len(pieces_here) > 1:  # most of them do not hold what is odd
            taken = 0
            for piece in pieces_here:
                more_words, more_grams, more = terms_of(piece, cut, start + taken, boost)
                words.take(more_words)
                grams.take(more_grams)
                taken += more
            return words, grams, taken
        found, pairs_found, taken = tokens(text, cut, start)
        words = Terms.of([(token.term, token.position, token.factor * boost) for token in found])
        said = {(token.term, token.position) for token in found}
        kept = bytearray()
        for pair in pairs_found:
            kept += bytes([(pair.term, pair.position) not in said]).ljust(len(pair.term) + 1, b"\0")
        text = SEAM.join([pair.term for pair in pairs_found])
        return words, Pairs(text, [pair.position for pair in pairs_found], kept, len(pairs_found)), taken
    terms: list[str] = []
    places: list[int] = []
    parts: list[str] = []
    part_places: list[int] = []
    runs: list[str] = []
    starts: list[int] = []
    run_places: list[int] = []  # of each character of the runs, and of the SEAM after each
    alone: set[int] = set()  # where the runs of one character are among these
    position, ended = start, False
    for match in _compiled(_PIECE).finditer(normalized):
        kind = match.lastindex
        if kind == 1:
            ended = position > start
            continue
        if ended:
            position += 1
            ended = False
        begin, end = match.span()
        written = normalized[begin:end]
        if kind == 2:
            if "\n" in written:  # without the blanks of line ends
                written = "".join(written.split())
            after = position + len(written)
            if len(written) == 1:
                alone.add(len(run_places))
            runs.append(written)
            starts.append(position)
            run_places += range(position, after + 1)
            position = after
            continue
        if kind == 3:
            wholes, parts_here = _forms(written)
            terms += wholes
            places += repeat(position, len(wholes))
            if parts_here:
                parts += parts_here
                part_places += repeat(position, len(parts_here))
            position += 1
        else:
            count, (wholes, whole_units), (parts_here, part_units) = _linked_forms(written)
            terms += wholes
            places += map(position.__add__, whole_units)
            parts += parts_here
            part_places += map(position.__add__, part_units)
            position += count
        if text[end : end + 1] in _TAILS and (last := _compiled(_LAST_UNIT).search(written)):
            tail = _compiled(_PROGRAMMING).match(text, begin + last.start())
            if tail:
                terms.append(fold(tail.group()))
                places.append(position - 1)
    joined, kept = SEAM.join(runs), bytearray(b"\1") * len(run_places)
    if runs:
        cuts = [*cut(joined)]
        terms += [word for word, _ in cuts]
        places += [run_places[at] for _, at in cuts]
        for word, at in cuts:
            if len(word) == 2 or at in alone:
                kept[at] = 0
    words.add(boost, terms, places)
    words.add(boost * PART_FACTOR, parts, part_places)
    return words, Pairs(joined, starts, kept, len(kept) - 2 * len(runs) + len(alone)), position - start


ODD_PIECE = 100
"""Characters about which a text is cut into pieces where some of its characters do not become just one."""
LONGEST_PIECE = 1 << 15
"""Characters of a text that are analysed at once: a term takes some 150 bytes until it is kept."""
_CUT = r"(?:(?<=[A-Za-z0-9]) |(?<=[\u4e00-\u9fff][，。；！？、：]))(?=[A-Za-z0-9\u4e00-\u9fff])"
"""Where the tokens of what follows do not depend on what came before: between two words, or two runs of Chinese."""


def pieces(text: str, longest: int = LONGEST_PIECE) -> Iterator[str]:
    """The text in pieces whose tokens are those of the text, positions counted on; long only where it has no seam."""
    start, cut = 0, _compiled(_CUT)
    while len(text) - start > longest and (seam := cut.search(text, start + longest)):
        yield text[start : seam.end()]
        start = seam.end()
    yield text[start:]


INITIALS_MARK = "^"
"""Begins the terms that hold the first letters of a title's words, in which a short name is looked for."""
_SMALL_WORDS = frozenset(
    "a an the of for in on to by with and or via from as at is using".split()  # noqa: SIM905
)


def initials(title: str) -> list[str]:
    """First letters of a title's words as terms: of all words, without the small ones, hyphenated words as one or by
    their parts. `DSI` is in that of `Transformer Memory as a Differentiable Search Index`."""
    rows = zip(*map(_initials_of_word, fold(normalize(title)[0]).split()), strict=True)
    terms = ("".join(row)[: MAX_TERM - 1] for row in rows)
    return [INITIALS_MARK + term for term in dict.fromkeys(terms) if len(term) >= SHORTEST_INITIALS]


@lru_cache(maxsize=4096)
def _initials_of_word(written: str) -> tuple[str, str, str]:
    letters = "".join([part[0] for part in re.split(r"[^a-z0-9]+", written) if part])
    if written.strip(".,:;!?()") in _SMALL_WORDS:
        return letters, "", ""
    return letters, letters, letters[:1]


SHORTEST_INITIALS = 3
LONGEST_INITIALS = 6
"""Letters of a word that may be the initials of consecutive title words."""
