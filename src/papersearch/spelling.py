"""Words that the index does not have → words that it has: corrections, prefixes, fuzzy words."""

from __future__ import annotations

from papersearch.analysis.normalize import fold, is_cjk
from papersearch.analysis.tokens import MAX_TERM
from papersearch.index.reader import FieldReader

SHORTEST_CORRECTED = 5
LONGEST_ENDING = 6
"""Letters that a word of the index may have more than an unknown word which it begins with."""
MAX_CORRECTIONS = 3
MAX_EXPANSION = 512
"""Terms that a prefix or a fuzzy word may stand for; the shortest (prefix) or nearest come first."""


def corrections(text: FieldReader, word: str) -> list[str]:
    """Words of the index that this one may be a slip of, most likely first: words that begin with it, then words
    a few edits away. A run of Chinese may have one character wrong. Short words are never corrected: too many
    real names lie one letter apart."""
    if is_cjk(word):
        return _near_run(text, word)
    if len(word) < SHORTEST_CORRECTED or not word.isalpha():
        return []
    longer = [t for t in text.terms(word) if len(t) <= len(word) + LONGEST_ENDING]
    if longer:
        return sorted(longer, key=lambda t: (-text.doc_frequency(t), t))[:MAX_CORRECTIONS]
    limit = 1 if len(word) <= 5 else 2
    near = [
        (distance, term[0] != word[0], -text.doc_frequency(term), term)
        for term in text.terms()
        if abs(len(term) - len(word)) <= limit and term.isalpha() and len(term) >= SHORTEST_CORRECTED - 1
        if (distance := edit_distance(word, term, limit)) <= limit and not is_cjk(term)
    ]
    best = min((row[:2] for row in near), default=None)
    return [row[3] for row in sorted(near) if row[:2] == best][:MAX_CORRECTIONS]


def _near_run(text: FieldReader, run: str) -> list[str]:
    """Chinese words of the index that differ from the run in one character."""
    if not 2 <= len(run) <= 4:
        return []
    near = [
        (-text.doc_frequency(term), term)
        for term in text.terms()
        if len(term) == len(run) and is_cjk(term) and sum(a != b for a, b in zip(term, run, strict=True)) == 1
    ]
    return [term for _, term in sorted(near)][:MAX_CORRECTIONS]


def prefix_terms(text: FieldReader, prefix: str) -> list[str]:
    """Words that begin so, the shortest first."""
    prefix = fold(prefix)[:MAX_TERM]
    terms = []
    for term in text.terms(prefix):
        terms.append(term)
        if len(terms) >= 8 * MAX_EXPANSION:
            break
    terms.sort(key=lambda t: (len(t), t))
    return terms[:MAX_EXPANSION]


def fuzzy_terms(text: FieldReader, word: str, edits: int) -> list[str]:
    """Words at most `edits` edits away (0: one for short words, two for long ones), the nearest first."""
    word = fold(word)[:MAX_TERM]
    limit = edits or (1 if len(word) <= 5 else 2)
    near = [
        (distance, term)
        for term in text.terms()
        if abs(len(term) - len(word)) <= limit and term[0].isalnum()
        if (distance := edit_distance(word, term, limit)) <= limit
    ]
    return [term for _, term in sorted(near)[:MAX_EXPANSION]]


def edit_distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance: insertions, deletions, changes, swaps of neighbours; `limit + 1` if larger."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return min(previous[-1], limit + 1)
