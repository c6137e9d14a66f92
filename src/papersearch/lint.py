"""What the owner of a digest may want to mend: broken links, bare headings, duplicates, venues spelled oddly.

Nothing of this stops a paper from being indexed and found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from papersearch.digest import read_corpus
from papersearch.files import Notice
from papersearch.paper import Paper, identity
from papersearch.venues import canonical_venue, known_spelling


def check(roots: Sequence[str]) -> list[Notice]:
    """Everything there is to say about a corpus, by path and line; empty for a clean one.

    `kind` is "link", "encoding" or "skipped" (from reading), "venue" or "year" (a heading without), "duplicate" (same
    title as an earlier paper), "spelling" (a venue that was read as another, or that one paper alone names and nobody
    knows). Raises CorpusError if a root does not exist.
    """
    corpus, _ = read_corpus(roots, check_links=True)
    papers = [paper for paper in corpus.papers if paper.kind == "paper"]
    notices = [*corpus.notices, *_bare_headings(papers), *_duplicates(papers), *_odd_venues(papers)]
    return sorted(notices, key=lambda n: (n.path, n.line, n.kind, n.message))


def _bare_headings(papers: Iterable[Paper]) -> Iterator[Notice]:
    for paper in papers:
        if paper.venue is None:
            yield Notice(
                paper.path, paper.line, "the heading names no venue; end it with one, as in [CVPR'22]", "venue"
            )
        if paper.year is None:
            yield Notice(paper.path, paper.line, "the heading names no year; end it with one, as in [CVPR'22]", "year")


def _duplicates(papers: Iterable[Paper]) -> Iterator[Notice]:
    """Titles are the same if their letters and digits are, whatever the width, case and punctuation."""
    first: dict[str, Paper] = {}
    for paper in papers:
        other = first.setdefault(identity(paper.title, None, None), paper)
        if other is not paper:
            place = f"{other.path}:{other.line}"
            yield Notice(paper.path, paper.line, f"the paper has the same title as the one at {place}", "duplicate")


def _odd_venues(papers: Iterable[Paper]) -> Iterator[Notice]:
    """Spellings that are no known name of the venue they were read as, and unknown venues that stand alone."""
    named = Counter(paper.venue.casefold() for paper in papers if paper.venue)
    for paper in papers:
        written = paper.venue_raw
        if not written or not paper.venue or known_spelling(written):
            continue
        if canonical_venue(written):
            message = f"the venue {written!r} was read as {paper.venue}; is that its name?"
        elif named[paper.venue.casefold()] == 1:
            message = f"the venue {written!r} is unknown, and no other paper names it; is it spelled rightly?"
        else:
            continue
        yield Notice(paper.path, paper.line, message, "spelling")
