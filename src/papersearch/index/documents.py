"""Paper → Document: which words go where, with which boost.

The only place that knows the zones of the text field (papersearch.fields): everything a paper is found by passes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from papersearch.analysis.normalize import exact_value
from papersearch.analysis.tokens import Pairs, Terms, initials, pieces, terms_of
from papersearch.fields import FIELDS, GRAMS, TEXT, zone
from papersearch.index.writer import Document
from papersearch.paper import Paper

if TYPE_CHECKING:
    from papersearch.analysis.words import Cutter

CONTEXT_BOOST = 0.3
"""Headings further up and bracket groups: searchable, but a paper is not about its venue."""
GAP = 1
"""Positions left free between two texts, so that no phrase runs from one into the next."""


class _Text:
    """The tokens of one document, zone by zone."""

    def __init__(self, cut: Cutter) -> None:
        self.cut = cut
        self.words, self.grams = Terms(), Pairs()
        self.length = 0
        self._next = {name: zone(name)[0] for name, field in FIELDS.items() if field.zone[1]}

    def add(self, zone_name: str, text: str, boost: float, *, counted: bool = True) -> None:
        """Tokens of `text` in the zone, or, where the zone is full, in the note zone: nothing is dropped."""
        start = at = self._next[zone_name]
        words, grams = Terms(), Pairs()
        for piece in pieces(text):
            more_words, more_grams, taken = terms_of(piece, self.cut, at, boost)
            at += taken
            if at > zone(zone_name)[1]:
                self.add("note", text, boost, counted=counted)
                return
            words.take(more_words)
            grams.take(more_grams)
        self.words.take(words)
        self.grams.take(grams)
        self._next[zone_name] = at + GAP
        if counted:
            self.length += at - start

    def add_terms(self, zone_name: str, made: Sequence[str], boost: float) -> None:
        """Terms that are made, not written: all at the next position of the zone."""
        at = self._next[zone_name]
        self.words.add(boost, made, [at] * len(made))
        self._next[zone_name] = at + 1 + GAP


def to_document(paper: Paper, cut: Cutter) -> Document:
    """What the index holds of a paper."""
    text = _Text(cut)
    text.add("title", paper.title, FIELDS["title"].boost)
    for alias in paper.aliases:
        text.add("alias", alias, FIELDS["alias"].boost, counted=False)
    text.add_terms("alias", initials(paper.title), FIELDS["alias"].boost)
    if paper.category:
        text.add("category", paper.category, FIELDS["category"].boost)
    context = [*paper.context, *filter(None, (paper.venue, str(paper.year or "")))]
    for words in context:
        if words != paper.category:
            text.add("category", words, CONTEXT_BOOST, counted=False)
    for section in paper.sections:
        text.add("note", section.text, FIELDS["note"].boost)
    keywords = {
        "category": [exact_value(paper.category)] if paper.category else [],
        "venue": [exact_value(paper.venue)] if paper.venue else [],
        "year": [str(paper.year)] if paper.year else [],
        "org": [exact_value(org) for org in paper.orgs],
        "has": list(paper.flags),
    }
    return Document(
        id=paper.id,
        tokens={TEXT: text.words, GRAMS: text.grams},
        lengths={TEXT: text.length, GRAMS: len(text.grams)},
        keywords={name: values for name, values in keywords.items() if values},
        stored=paper.stored(),
    )
