"""Hits as rows: CSV for spreadsheets, and bare places for other programs."""

from __future__ import annotations

import csv as csv_module
import io

from papersearch.render.screen import line
from papersearch.render.text import Locate, place
from papersearch.results import Hit, Results

COLUMNS = (
    "rank", "score", "id", "kind", "title", "aliases", "category", "venue", "venue_raw", "year", "orgs", "path", "line",
    "end_line", "bullets", "links", "snippet", "snippet_path", "snippet_line",
)  # fmt: skip
_LISTS = "; "
# Spreadsheets for East Asian scripts take the full-width signs as well.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def _cell(value: str) -> str:
    """Text on one line that no spreadsheet takes for a formula: a leading apostrophe makes it text again."""
    safe = line(value)
    return f"'{safe}" if value.startswith(_FORMULA) else safe


def _row(hit: Hit) -> list[str]:
    paper = hit.paper
    return [
        str(hit.rank),
        f"{hit.score:.6g}",
        _cell(paper.id),
        paper.kind,
        _cell(paper.title),
        _cell(_LISTS.join(paper.aliases)),
        _cell(paper.category or ""),
        _cell(paper.venue or ""),
        _cell(paper.venue_raw or ""),
        str(paper.year or ""),
        _cell(_LISTS.join(paper.orgs)),
        _cell(paper.path),
        str(paper.line),
        str(paper.end_line),
        str(paper.bullets),
        _cell(_LISTS.join(paper.links)),
        _cell(hit.snippet),
        _cell(hit.snippet_path),
        str(hit.snippet_line or ""),
    ]


def csv(found: Results) -> str:
    """RFC 4180 with a header row: comma, CRLF, quotes only where needed. Lists are joined by `; `."""
    out = io.StringIO(newline="")
    writer = csv_module.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows(_row(hit) for hit in found.hits)
    return out.getvalue()


def paths(found: Results, locate: Locate) -> str:
    """path:line of each hit and nothing else."""
    return "".join(f"{place(hit.paper.path, hit.paper.line, locate)}\n" for hit in found.hits)
