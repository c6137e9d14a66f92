"""Results as JSON, schema 1 (docs/json.md). Fields are only ever added."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from papersearch.paper import Paper
from papersearch.results import FacetCounts, Hit, Results

if TYPE_CHECKING:
    from papersearch.evaluation import Evaluation, Measures
    from papersearch.files import Notice
    from papersearch.reports import Changes, Status

SCHEMA = 1

# JSON leaves these as they are, but a terminal may obey them and UTF-8 has no lone surrogates.
_UNSAFE = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f\ud800-\udfff]")


def _dump(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, check_circular=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + "\n"


def _paper(paper: Paper) -> dict[str, Any]:
    return {
        "id": paper.id,
        "kind": paper.kind,
        "title": paper.title,
        "aliases": list(paper.aliases),
        "category": paper.category,
        "venue": paper.venue,
        "venue_raw": paper.venue_raw,
        "year": paper.year,
        "orgs": list(paper.orgs),
        "path": paper.path,
        "line": paper.line,
        "end_line": paper.end_line,
        "bullets": paper.bullets,
        "links": list(paper.links),
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "stage": hit.stage,
        **_paper(hit.paper),
        "snippet": hit.snippet,
        "snippet_path": hit.snippet_path,
        "snippet_line": hit.snippet_line,
        "highlights": [list(span) for span in hit.highlights],
        "matched": hit.matched,
        "explanation": [{"name": p.name, "value": round(p.value, 6), "detail": p.detail} for p in hit.explanation],
    }


def _facets(counts: FacetCounts) -> dict[str, list[dict[str, Any]]]:
    return {field: [{"value": value, "count": count} for value, count in values] for field, values in counts.items()}


def results(found: Results, notices: Iterable[str] = ()) -> str:
    """One answer. `notices` are those of the index, which come before those of the query."""
    return _dump(
        {
            "schema": SCHEMA,
            "query": found.query,
            "filters": found.filters,
            "stage": found.stage,
            "total": found.total,
            "took_ms": round(found.took_ms, 3),
            "notices": [*notices, *found.notices],
            "hits": [_hit(hit) for hit in found.hits],
            "facets": _facets(found.facets),
        }
    )


def lines(found: Results) -> str:
    """JSON Lines: each hit is an object on a line of its own, and there is nothing else."""
    return "".join(_dump(_hit(hit)) for hit in found.hits)


def paper(shown: Paper) -> str:
    """One paper whole, with the text of its notes and companion notes."""
    sections = [
        {
            "path": section.path,
            "line": section.line,
            "end_line": section.end_line,
            "companion": section.companion,
            "text": section.text,
        }
        for section in shown.sections
    ]
    return _dump({"schema": SCHEMA, "paper": {**_paper(shown), "sections": sections}})


def place(shown: Paper, file: str, link: str | None) -> str:
    """Where one paper stands: `file` is its note as any program can open it."""
    where = {"id": shown.id, "path": shown.path, "line": shown.line, "file": file, "link": link}
    return _dump({"schema": SCHEMA, **where})


def facets(counts: FacetCounts) -> str:
    """Values and counts of fields."""
    return _dump({"schema": SCHEMA, "facets": _facets(counts)})


def status(state: Status) -> str:
    """What is indexed."""
    return _dump({"schema": SCHEMA, **state.as_dict()})


def changes(done: Changes) -> str:
    """What a build did."""
    return _dump({"schema": SCHEMA, **done.as_dict(), "took_ms": round(done.took_ms, 3)})


def notices(found: Iterable[Notice]) -> str:
    """What a check of the corpus found."""
    rows = [{"path": n.path, "line": n.line, "kind": n.kind, "message": n.message} for n in found]
    return _dump({"schema": SCHEMA, "notices": rows})


def problems(index: str, found: Sequence[str], repaired: bool) -> str:
    """What a check of the index found, and whether it was built anew and is sound now."""
    return _dump({"schema": SCHEMA, "index": index, "problems": list(found), "repaired": repaired})


def _measures(means: Measures) -> dict[str, float]:
    return {
        "queries": means.queries,
        "ndcg": round(means.ndcg, 6),
        "mrr": round(means.mrr, 6),
        "recall": round(means.recall, 6),
        "success": round(means.success, 6),
    }


def evaluation(judged: Evaluation, depth: int, notices: Iterable[str] = ()) -> str:
    """How well rankings agree with judgements, down to rank `depth`."""
    return _dump(
        {
            "schema": SCHEMA,
            "depth": depth,
            "notices": list(notices),
            "classes": {name: _measures(means) for name, means in judged.classes.items()},
            "overall": _measures(judged.overall),
            "unanswerable": {
                name: {"queries": count, "empty": round(empty, 6), "empty_or_partial": round(quiet, 6)}
                for name, (count, empty, quiet) in judged.unanswerable.items()
            },
        }
    )


def run(ranked: Mapping[str, Sequence[str]]) -> str:
    """JSON Lines: the titles that each query found, best first. Not versioned: evaluation tools share this form."""
    return "".join(_dump({"id": query_id, "ranked": list(titles)}) for query_id, titles in ranked.items())
