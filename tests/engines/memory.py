"""An index in dictionaries: what papersearch.index.reader offers, straight from Documents. Slow, and plainly right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from papersearch.index.writer import Document


class MemoryPostings:
    """Documents of one term; `docs` ascend."""

    def __init__(self, rows: dict[int, list[tuple[int, float]]]) -> None:
        self.docs = sorted(rows)
        self.weights = [sum(boost for _, boost in rows[doc]) for doc in self.docs]
        self._positions = [sorted(position for position, _ in rows[doc]) for doc in self.docs]

    def __len__(self) -> int:
        return len(self.docs)

    def positions(self, i: int) -> Sequence[int]:
        return self._positions[i]

    def positions_at(self, at: Sequence[int]) -> list[list[int]]:
        return [self._positions[i] for i in at]

    def weights_at(self, at: Sequence[int]) -> list[float]:
        return [self.weights[i] for i in at]

    def of_highs(self, value: Callable[[tuple[int, ...]], float], at: Sequence[int] | None = None) -> list[float]:
        rows = self._positions if at is None else [self._positions[i] for i in at]
        return [value(tuple(position & ~255 for position in positions)) for positions in rows]

    def all_positions(self) -> tuple[list[int], list[int]]:
        return [len(positions) for positions in self._positions], [p for row in self._positions for p in row]


class MemoryField:
    """One field; terms in the order of their UTF-8 bytes."""

    def __init__(self, name: str, rows: dict[str, dict[int, list[tuple[int, float]]]], lengths: list[int]) -> None:
        self.name = name
        self.lengths = lengths
        self.total_length = sum(lengths)
        self.average_length = self.total_length / len(lengths) if lengths else 0.0
        self._postings = {term: MemoryPostings(by_doc) for term, by_doc in rows.items()}
        self._terms = sorted(rows, key=lambda term: term.encode("utf-8", "surrogatepass"))

    def postings(self, term: str) -> MemoryPostings | None:
        return self._postings.get(term)

    def doc_frequency(self, term: str) -> int:
        return len(self._postings.get(term, ()))

    def terms(self, prefix: str = "") -> Iterator[str]:
        return (term for term in self._terms if term.startswith(prefix))

    def raw_terms(self, prefix: str = "") -> Iterator[list[bytes]]:
        yield [term.encode("utf-8", "surrogatepass") for term in self.terms(prefix)]

    def terms_with(self, text: str) -> list[str]:
        return [term for term in self._terms if text in term]

    def live_terms(self, prefix: str = "") -> set[str]:
        return set(self.terms(prefix))

    def has_prefix(self, prefix: str) -> bool:
        return any(self.terms(prefix))

    def length(self, doc: int) -> int:
        return self.lengths[doc]


class MemorySnapshot:
    """Documents by number, in the order given."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.folder = "memory"
        self.generation = 1
        self.meta: dict[str, Any] = {}
        self.doc_count = len(documents)
        self._documents = list(documents)
        self._number = {document.id: number for number, document in enumerate(documents)}
        rows: dict[str, dict[str, dict[int, list[tuple[int, float]]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for number, document in enumerate(documents):
            for name, tokens in document.tokens.items():
                for term, position, boost in tokens:
                    rows[name][term][number].append((position, boost))
            for name, values in {**document.keywords, "id": [document.id]}.items():
                for value in values:
                    rows[name][value][number].append((0, 1.0))
        self._fields = {name: MemoryField(name, terms, self._lengths(name)) for name, terms in rows.items()}

    def _lengths(self, name: str) -> list[int]:
        return [d.lengths.get(name, len(d.tokens.get(name, ()))) for d in self._documents]

    def field(self, name: str) -> MemoryField:
        return self._fields.get(name) or MemoryField(name, {}, [0] * self.doc_count)

    def docs(self) -> Iterable[int]:
        return range(self.doc_count)

    def stored(self, doc: int) -> dict[str, Any]:
        return self._documents[doc].stored

    def doc_of(self, doc_id: str) -> int | None:
        return self._number.get(doc_id)

    def ids(self, prefix: str = "") -> list[str]:
        return sorted(self.field("id").terms(prefix))

    def close(self) -> None:
        """Nothing is held open."""
