"""Words of a query → ideas: what has to be found, and every way in which the index may write it.

An idea scores once however many of its forms match. Its forms come in groups: the word as written; its stem; the
names that a glossary has for it; the pair of words that it joins; the plain characters; a corrected spelling. Within a
group the forms add up as if they were one term, between groups the best one counts, so that a weaker form never adds
to a stronger one. Neighbouring ideas that are written or translated as one are spans.
"""

from __future__ import annotations

from papersearch.analysis.normalize import fold, is_cjk
from papersearch.analysis.stem import stem
from papersearch.analysis.tokens import LONGEST_INITIALS, MAX_TERM, SHORTEST_INITIALS, STEM_MARK, Unit, chains, units
from papersearch.analysis.words import vocabulary_cutter
from papersearch.fields import GRAMS, TEXT
from papersearch.glossary import LONGEST_KEY
from papersearch.record import Record
from papersearch.stopwords import STOP_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from papersearch.glossary import Lookup

    class Vocabulary(Protocol):
        """What the index knows."""

        def knows(self, term: str) -> bool:
            """Whether a document has the term among its words."""
            ...

        def knows_pair(self, pair: str) -> bool:
            """Whether two Chinese characters stand side by side anywhere."""
            ...

        def initials(self, word: str) -> tuple[str, ...]:
            """Terms for titles with consecutive words that begin with the letters of the word."""
            ...

        def forms_of(self, name: str) -> tuple[Form, ...]:
            """name_forms() over its words."""
            ...

        def corrections(self, word: str) -> list[str]:
            """Terms that the word may be a slip of, best first; empty if corrections are not wanted."""
            ...


STEM_FACTOR = 0.9
"""Another form of the word counts a little less than the word as written."""
INITIALS_FACTOR = 0.8
"""`DSI` for words of a title that begin so."""
JOIN_FACTOR = 0.9
"""`max pooling` for `maxpooling`, and the other way round."""
GRAM_FACTOR = 0.7
"""A run of characters that is no word of the index: words outrank characters."""
GLOSSARY_FACTOR = 0.8
"""Another name of the idea, in either language."""
DICTIONARY_FACTOR = 0.6
"""What a general dictionary says that the word means, where the glossary does not know it."""
AMBIGUOUS_FACTOR = 0.4
"""Another name where either name also stands for something else."""
RELATED_FACTOR = 0.2
"""A name of what lies near an idea, in a partial match that lacks the idea itself."""
CORRECTION_FACTOR = 0.7
"""A word spelt nearly so."""
SHORTEST_AMBIGUOUS = 3
"""Shorter ambiguous names are never searched for in place of a query's word: `AD` is in too many texts as `ad`."""
SINGLE_CHARACTER = 0.5
"""Weight of a lone Chinese character, in words."""
LONGEST_CHAIN = 16
"""Words joined by symbols that are taken as one; longer chains are read piece by piece."""
MAX_IDEAS = 64
"""Ideas of a query; what comes after is not searched."""
LONGEST_NAME = 8
"""Characters of a Chinese name of the glossary that is looked for around an unknown word."""
LONGEST_JOIN = 3
LONGEST_CUT = 3
"""Characters of glossary names that Chinese is cut by; longer ones are found as spans of their words."""


class Form(Record):
    """One way to write an idea: terms at offsets from its first position. A single term is its own phrase."""

    parts: tuple[tuple[str, tuple[str, ...], int], ...]
    """(engine field, terms any of which may stand there, offset)."""

    @classmethod
    def term(cls, text: str, key: str = TEXT) -> Form:
        return cls(((key, (text,), 0),))


class Group(Record):
    """Forms that add up, and how much they count. `corrected` is the spelling they were found under, if not the
    query's."""

    forms: tuple[Form, ...]
    factor: float = 1.0
    corrected: str = ""


class Idea(Record):
    """One thing a query asks for. `text` is how the query writes it; `size` is what it weighs, in words; `name` is what
    the glossary is asked for it by: key and spelling."""

    text: str
    groups: tuple[Group, ...]
    size: float = 1.0
    name: tuple[str, str] = ("", "")


class Span(Record):
    """Neighbouring ideas [start, stop) found as one: `lightseq 2` as `lightseq2`, 知识蒸馏 as `knowledge distillation`.

    A `concept` names one idea: a paper that has its words apart matches it only in part. `name` as in an Idea.
    """

    start: int
    stop: int
    groups: tuple[Group, ...]
    concept: bool = False
    name: tuple[str, str] = ("", "")


class Ideas:
    """What a stretch of query text asks for."""

    def __init__(self) -> None:
        self.ideas: list[Idea] = []
        self.spans: list[Span] = []
        self.ignored: list[str] = []
        """Words that carry no weight: question words, politeness, function words."""


class _Piece(Record):
    """A word of the query in order, with the idea made of it (None for a stop word)."""

    text: str
    cjk: bool
    idea: int | None
    joined: bool
    """Whether it follows the piece before it without a blank or symbol (Chinese) or as the next word."""


def gram_form(run: str, offset: int = 0) -> Form:
    """The form that finds a Chinese run anywhere: pairs that cover it end to end, or its only character."""
    if len(run) == 1:
        return Form(((GRAMS, (run,), offset),))
    starts = [*range(0, len(run) - 1, 2)]
    if starts[-1] != len(run) - 2:
        starts.append(len(run) - 2)
    return Form(tuple((GRAMS, (run[i : i + 2],), offset + i) for i in starts))


def phrase_form(text: str) -> Form | None:
    """The form of a quoted phrase: words as written and runs of characters, one after the other."""
    parts: list[tuple[str, tuple[str, ...], int]] = []
    origin: int | None = None
    for unit in units(text)[0]:
        if origin is None:
            origin = unit.position
        at = unit.position - origin
        if unit.cjk:
            parts += gram_form(unit.text, at).parts
        else:
            parts.append((TEXT, (fold(unit.text)[:MAX_TERM],), at))
    return Form(tuple(parts)) if parts else None


def word_terms(word: str, knows: Callable[[str], bool]) -> tuple[str, ...]:
    """Terms under which a word is indexed in any of its forms; no two of them stand for the same place.

    Whatever has another spelling than its stem is found under the stem's term, so the word itself is only needed
    where it is there as a part of a longer word.
    """
    root = stem(word)
    terms = [t for t in (STEM_MARK + root, root) if knows(t)]
    if word != root and STEM_MARK + root not in terms and knows(word):
        terms.append(word)
    return tuple(terms)


def name_forms(name: str, knows: Callable[[str], bool]) -> tuple[Form, ...]:
    """Forms of a glossary name: its words in a row in any of their forms, or joined; none if the index lacks a word."""
    parts: list[tuple[str, tuple[str, ...], int]] = []
    latin: list[str] = []
    for unit in units(name)[0]:
        if unit.cjk:
            parts += gram_form(unit.text, unit.position).parts
            continue
        word = fold(unit.text)[:MAX_TERM]
        latin.append(word)
        parts.append((TEXT, word_terms(word, knows), unit.position))
    forms = [Form(tuple(parts))] if parts and all(terms for _, terms, _ in parts) else []
    if len(latin) > 1 and len(latin) == len(parts) and (terms := word_terms("".join(latin)[:MAX_TERM], knows)):
        forms.append(Form(((TEXT, terms, 0),)))
    return tuple(forms)


def find_ideas(text: str, vocabulary: Vocabulary, glossary: Lookup) -> Ideas:
    """Cut a stretch of query text into ideas."""
    return _Finder(vocabulary, glossary).find(text)


def row_form(name: str, knows: Callable[[str], bool]) -> Form | None:
    """The words of a name in a row in any of their forms, None if the index lacks one of them."""
    parts: list[tuple[str, tuple[str, ...], int]] = []
    for unit in units(name)[0]:
        if unit.cjk:
            parts += gram_form(unit.text, unit.position).parts
        elif terms := word_terms(fold(unit.text)[:MAX_TERM], knows):
            parts.append((TEXT, terms, unit.position))
        else:
            return None
    return Form(tuple(parts)) if parts else None


def related_groups(
    ideas: Iterable[tuple[str, str]], asked: Sequence[str], form_of: Callable[[str], Form | None], glossary: Lookup
) -> list[list[tuple[str, Group]]]:
    """For each of the ideas that a query names, what lies near it: (what it is called, its forms), each once, by its
    first sure name in either language. What the query itself asks for, by the keys `asked`, is left out. `form_of` is
    row_form() over an index."""
    taken: set[str] = set()
    found: list[list[tuple[str, Group]]] = []
    for key, spelling in ideas:
        near: list[tuple[str, Group]] = []
        for group in glossary.related(key, spelling, asked):
            names = {name.text.isascii(): name.text for name in reversed(group) if not name.ambiguous}.values()
            if taken.isdisjoint(names) and (forms := [form for name in names if (form := form_of(name))]):
                near.append((" / ".join(names), Group(tuple(forms), RELATED_FACTOR)))
            taken.update(names)
        found.append(near)
    return found


def corrected(idea: Idea, spelling: str) -> list[Group]:
    """The groups of an idea as those of a slip of it."""
    return [Group(g.forms, g.factor * CORRECTION_FACTOR, spelling) for g in idea.groups]


class _Finder:
    def __init__(self, vocabulary: Vocabulary, glossary: Lookup) -> None:
        self.vocabulary = vocabulary
        self.knows = vocabulary.knows
        self.glossary = glossary
        self.cut = vocabulary_cutter(self.is_word)
        self.found = Ideas()
        self.pieces: list[_Piece] = []

    def is_word(self, word: str) -> bool:
        if word in STOP_WORDS or self.knows(word):
            return True
        if len(word) < 2:
            return False
        return (len(word) <= LONGEST_CUT and word in self.glossary) or bool(self.meant(word))

    def find(self, text: str) -> Ideas:
        found = self.found
        latin: list[tuple[int, Unit]] = []
        for group, whole in zip(*chains(text), strict=True):
            first = group[0]
            if first.cjk:
                latin = []
                self.run(first.text)
            elif len(group) > 1:
                latin = []
                for start in range(0, len(group), LONGEST_CHAIN):
                    part = group[start : start + LONGEST_CHAIN]
                    self.chain(part, whole if len(part) == len(group) else "-".join(unit.text for unit in part))
            elif (word := fold(first.text)[:MAX_TERM]) in STOP_WORDS:
                self.skip(first.text, word)
                latin = []
            else:
                before = len(found.ideas)
                self.add(self.word(first.text), first.text)
                latin = [*latin, (before, first)] if len(found.ideas) > before else []
                self.join(latin)
        if not found.ideas and found.ignored:
            # Nothing but function words: then they are what is asked for.
            for written in found.ignored:
                found.ideas.append(self.chinese(written, alone=True) if is_cjk(written) else self.word(written))
            found.ignored = []
        else:
            self.translate()
        return found

    def add(self, idea: Idea, text: str, *, cjk: bool = False, joined: bool = True) -> None:
        """Take an idea up, once however often the query repeats it."""
        if len(self.found.ideas) >= MAX_IDEAS or any(known.text == idea.text for known in self.found.ideas):
            self.pieces.append(_Piece(text if cjk else fold(text), cjk, None, joined))
            return
        self.pieces.append(_Piece(text if cjk else fold(text), cjk, len(self.found.ideas), joined))
        self.found.ideas.append(idea)

    def skip(self, written: str, text: str, *, cjk: bool = False) -> None:
        self.found.ignored.append(written)
        self.pieces.append(_Piece(text, cjk, None, True))

    # ---- words of letters and digits

    def word(self, written: str) -> Idea:
        word = fold(written)[:MAX_TERM]
        groups = [Group((Form.term(word),))]
        terms = word_terms(word, self.knows)
        if terms and terms != (word,):
            groups.append(Group((Form(((TEXT, terms, 0),)),), STEM_FACTOR))
        name = (stem(word), word)
        groups += self.names(*name)
        if self.may_be_initials(written, known=bool(terms)) and (short := self.vocabulary.initials(word)):
            groups.append(Group(tuple(Form.term(term) for term in short), INITIALS_FACTOR))
            terms = terms or short
        known = bool(terms) or stem(word) in self.glossary
        if not terms:
            groups += self.split(word)
            known = known or len(groups) > 1
        if not known:
            for term in self.vocabulary.corrections(word):
                groups += corrected(self.word(term), term)
        return Idea(written, tuple(groups), name=name)

    @staticmethod
    def may_be_initials(written: str, *, known: bool) -> bool:
        """Whether a word may stand for the first letters of a title: short, and in capitals or written nowhere."""
        fits = SHORTEST_INITIALS <= len(written) <= LONGEST_INITIALS and written.isascii() and written.isalpha()
        return fits and (written.isupper() or not known)

    def split(self, word: str) -> list[Group]:
        """`maxpooling` as the two words `max pooling`."""
        forms = [
            Form(((TEXT, (word[:i],), 0), (TEXT, (word[i:],), 1)))
            for i in range(2, len(word) - 1)
            if self.knows(word[:i]) and self.knows(word[i:])
        ]
        return [Group(tuple(forms), JOIN_FACTOR)] if forms else []

    def join(self, latin: list[tuple[int, Unit]]) -> None:
        """Spans in which the words up to the last one are written as one word in the index."""
        for size in range(2, LONGEST_JOIN + 1):
            if len(latin) < size:
                return
            last = latin[-size:]
            terms = word_terms(fold("".join(unit.text for _, unit in last))[:MAX_TERM], self.knows)
            if terms:
                self.span(last[0][0], last[-1][0] + 1, [Group((Form(((TEXT, terms, 0),)),))])

    def span(
        self,
        start: int,
        stop: int,
        groups: Iterable[Group],
        *,
        concept: bool = False,
        name: tuple[str, str] = ("", ""),
    ) -> None:
        self.found.spans.append(Span(start, stop, tuple(groups), concept, name))

    def chain(self, group: list[Unit], whole: str) -> None:
        """Words joined by symbols: the whole as written, joined, or its words in a row; where the index has none of
        these, the words are ideas of their own."""
        words = [fold(unit.text)[:MAX_TERM] for unit in group]
        symbols, joined = fold(whole)[:MAX_TERM], "".join(words)[:MAX_TERM]
        row = Form(tuple((TEXT, (word,), i) for i, word in enumerate(words)))
        exact = [Form.term(t) for t in dict.fromkeys((symbols, joined)) if self.knows(t)]
        stems = [Form.term(t) for t in (STEM_MARK + stem(joined),) if self.knows(t)]
        name = (" ".join([stem(word) for word in words]), " ".join(words))
        if exact or stems:
            groups = [Group((form,), 1.0 if i == 0 else JOIN_FACTOR) for i, form in enumerate(exact)]
            if stems:
                groups.append(Group(tuple(stems), STEM_FACTOR))
            groups.append(Group((row,), JOIN_FACTOR))
            self.add(Idea(whole, (*groups, *self.names(*name)), name=name), " ".join(words))
            return
        start = len(self.found.ideas)
        for unit in group:
            if fold(unit.text) in STOP_WORDS:
                self.skip(unit.text, fold(unit.text))
            else:
                self.add(self.word(unit.text), unit.text)
        stop = len(self.found.ideas)
        if stop > start:
            self.span(start, stop, [Group((row,))])

    # ---- Chinese

    def chinese(self, word: str, *, alone: bool = False) -> Idea:
        """A Chinese word. One character is found inside other words only if it stands alone: beside other characters
        it counts where it stands beside them in a note, too."""
        groups = [Group((Form.term(word),))] if self.knows(word) else []
        if len(word) > 1 or alone:
            groups.append(Group((gram_form(word),), GRAM_FACTOR))
        size = 1.0 if len(word) > 1 else SINGLE_CHARACTER
        return Idea(word, (*groups, *self.names(word, word)), size, (word, word))

    def run(self, run: str) -> None:
        """A run of Chinese: its words, what neither index nor glossary knows as words, and the run as it stands."""
        start = len(self.found.ideas)
        pieces: list[tuple[str, bool]] = []
        reached = 0
        for word, offset in [*self.cut(run), ("", len(run))]:
            if offset > reached:
                pieces.append((run[reached:offset], False))
            if word:
                pieces.append((word, True))
            reached = offset + len(word)
        pieces = _with_fragments(pieces)
        at = 0
        for i, (piece, known) in enumerate(pieces):
            at += len(piece)
            if piece in STOP_WORDS:
                self.skip(piece, piece, cjk=True)
            elif known or len(piece) == 1:
                self.add(self.chinese(piece, alone=run == piece), piece, cjk=True, joined=i > 0)
            else:
                right = self.is_named(run, at - len(piece), at)
                self.add(self.unknown(piece, spelt_right=right), piece, cjk=True, joined=i > 0)
        stop = len(self.found.ideas)
        if len(pieces) > 1 and stop > start:
            self.span(start, stop, [Group((gram_form(run),))])

    def is_named(self, run: str, start: int, stop: int) -> bool:
        """Whether the glossary has a name that covers [start, stop) of a run: then its characters are no slip."""
        return any(
            run[begin:end] in self.glossary
            for begin in range(max(0, stop - LONGEST_NAME), start + 1)
            for end in range(stop, min(len(run), begin + LONGEST_NAME) + 1)
        )

    def unknown(self, run: str, *, spelt_right: bool) -> Idea:
        """Characters that are no words of the index: found as they stand, or as a word that sounds the same."""
        groups = [Group((gram_form(run),), GRAM_FACTOR)]
        if not spelt_right and not self.together(run):
            for term in self.vocabulary.corrections(run):
                groups += corrected(self.chinese(term), term)
        return Idea(run, tuple(groups))

    def together(self, run: str) -> bool:
        """Whether every two neighbours of the run are neighbours somewhere."""
        return all(self.vocabulary.knows_pair(run[i : i + 2]) for i in range(len(run) - 1))

    # ---- other names

    def names(self, key: str, spelling: str) -> list[Group]:
        """What the glossary calls it besides, the sure names before the ambiguous ones."""
        sure: list[Form] = []
        doubtful: list[Form] = []
        senses = self.glossary.senses(key, spelling)
        for sense in senses:
            for name in sense.others:
                if name.ambiguous and len(name.text) < SHORTEST_AMBIGUOUS:
                    continue
                (doubtful if sense.ambiguous or name.ambiguous else sure).extend(self.vocabulary.forms_of(name.text))
        groups = []
        if sure:
            groups.append(Group(tuple(dict.fromkeys(sure)), GLOSSARY_FACTOR))
        if doubtful:
            groups.append(Group(tuple(dict.fromkeys(doubtful)), AMBIGUOUS_FACTOR))
        if not senses and " " not in key and (meant := self.meant(key)):
            groups.append(Group(meant, DICTIONARY_FACTOR))
        return groups

    def meant(self, word: str) -> tuple[Form, ...]:
        """What a general dictionary gives for a word, as far as the index has it."""
        meanings = [meaning for meaning in self.glossary.meanings(word) if meaning not in STOP_WORDS]
        return tuple(dict.fromkeys(form for meaning in meanings for form in self.vocabulary.forms_of(meaning)))

    def translate(self) -> None:
        """Spans of several words that the glossary has as one idea; of overlapping ones the longest is the concept."""
        pieces = self.pieces
        hits: list[tuple[int, int, list[str]]] = []
        for i in range(len(pieces)):
            for j in range(i + 2, min(len(pieces), i + LONGEST_KEY) + 1):
                atoms = _atoms(pieces[i:j])
                if " ".join(atoms) in self.glossary:
                    hits.append((i, j, atoms))
        taken: set[int] = set()
        for i, j, atoms in sorted(hits, key=lambda hit: (hit[0] - hit[1], hit[0])):
            ideas = [piece.idea for piece in pieces[i:j] if piece.idea is not None]
            if not ideas:
                continue
            concept = taken.isdisjoint(range(i, j))
            if concept:
                taken.update(range(i, j))
            own = self.vocabulary.forms_of(" ".join(atoms)) if any(not p.cjk for p in pieces[i:j]) else ()
            own = own or ((gram_form("".join(atoms)),) if all(p.cjk for p in pieces[i:j]) else ())
            groups = [Group(own)] if own else []
            name = (" ".join(atoms), " ".join(p.text for p in pieces[i:j]))
            self.span(ideas[0], ideas[-1] + 1, [*groups, *self.names(*name)], concept=concept, name=name)


def _with_fragments(pieces: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Neighbouring lone characters as one unknown piece: what a word falls into that the index does not have."""
    merged: list[tuple[str, bool]] = []
    for piece, known in pieces:
        lone = len(piece) == 1 and piece not in STOP_WORDS
        if lone and merged and (not merged[-1][1] or len(merged[-1][0]) == 1) and merged[-1][0] not in STOP_WORDS:
            merged[-1] = (merged[-1][0] + piece, False)
        else:
            merged.append((piece, known))
    return merged


def _atoms(pieces: Iterable[_Piece]) -> list[str]:
    """The glossary key of neighbouring pieces: Chinese ones run together, others by their stems."""
    atoms: list[str] = []
    before_cjk = False
    for piece in pieces:
        if piece.cjk and before_cjk and piece.joined:
            atoms[-1] += piece.text
        elif piece.cjk:
            atoms.append(piece.text)
        else:
            atoms += [stem(word) for word in piece.text.split()]
        before_cjk = piece.cjk
    return atoms
