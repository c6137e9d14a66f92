"""Results as text: laid out for eyes on a terminal, one line a hit and `path:line:` first on a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from papersearch.paper import Paper, Section
from papersearch.render.screen import Screen, block, cells, fit, line, wrap
from papersearch.results import FacetCounts, Hit, Results

if TYPE_CHECKING:
    from papersearch.files import Notice
    from papersearch.reports import Changes, Status

Locate = Callable[[str], str]
"""Path of a note as the corpus has it → path as the reader can open it."""

_STAGES = {
    "all": "all words matched",
    "some": "only some of the words matched",
    "fuzzy": "matched with the spelling corrected",
    "none": "nothing matched",
}
_LISTED = ("dim", "", "", "bold", "")
"""Styles of the columns of a list: id, year, venue, title, category."""
_STALE_FILES_NAMED = 5
_IN_PART = "— matched in part —"
_PIPE_INDENT = "    "


def venue_year(paper: Paper) -> str:
    """NeurIPS'22, or what of it is known; empty where neither is."""
    if paper.venue and paper.year:
        return f"{paper.venue}'{paper.year % 100:02d}"
    return paper.venue or (str(paper.year) if paper.year else "")


def place(path: str, number: int, locate: Locate) -> str:
    """path:line on one line."""
    return f"{line(locate(path))}:{number}"


# ---- hits


def results(found: Results, screen: Screen, locate: Locate) -> str:
    """The hits, and the facets if the results have any."""
    if screen.columns is None:
        text = "".join(_hit_on_one_line(hit, screen, locate) for hit in found.hits)
    else:
        margin = len(str(found.hits[-1].rank)) + 2 if found.hits else 0
        pieces = [_hit_on_screen(hit, screen, locate, margin) for hit in found.hits]
        if border := _first_in_part(found.hits):
            pieces.insert(border, screen.paint("dim", _IN_PART) + "\n")
        text = "\n".join(pieces)
    counts = facets(found.facets, screen)
    return f"{text}\n{counts}" if text and counts else text + counts


def _first_in_part(hits: Sequence[Hit]) -> int:
    """How many hits stand above those that match in part; 0 where there is no such border, as in an order by year."""
    in_part = [hit.stage == "some" for hit in hits]
    whole = in_part.count(False)
    return whole if whole < len(hits) and not any(in_part[:whole]) else 0


def _hit_on_one_line(hit: Hit, screen: Screen, locate: Locate) -> str:
    paper = hit.paper
    venue = line(venue_year(paper))
    parts = [
        screen.paint("place", place(paper.path, paper.line, locate)) + ":",
        screen.paint("bold", line(paper.title)),
        f"[{venue}]" if venue else "",
        f"· {screen.marked(line(hit.snippet), hit.highlights)}" if hit.snippet else "",
    ]
    rows = [" ".join(part for part in parts if part).rstrip()]
    rows += [_PIPE_INDENT + row for row in _explained(hit, screen)]
    return "".join(f"{row}\n" for row in rows)


def _hit_on_screen(hit: Hit, screen: Screen, locate: Locate, margin: int) -> str:
    paper, indent = hit.paper, " " * margin
    columns = max(screen.width - margin, 10)
    title = line(paper.title)
    rows = [screen.paint("bold", title[start:end]) for start, end in wrap(title, columns)]
    about = [
        (line(venue_year(paper)), ""),
        (line(paper.category or ""), ""),
        (place(paper.path, paper.line, locate), "place"),
        (line(paper.id), "dim"),
    ]
    rows += _flow([(text, style) for text, style in about if text], columns, screen)
    if hit.snippet and hit.snippet_path not in ("", paper.path):
        rows.append(screen.paint("place", place(hit.snippet_path, hit.snippet_line, locate)))
    snippet = line(hit.snippet)
    rows += [screen.marked(snippet, hit.highlights, start, end) for start, end in wrap(snippet, columns)]
    rows += _explained(hit, screen, columns)
    first = f"{hit.rank:>{margin - 1}} "
    return "".join(f"{first if i == 0 else indent}{row}\n" for i, row in enumerate(rows))


def _explained(hit: Hit, screen: Screen, columns: int | None = None) -> list[str]:
    """What a score is the sum of: a row a part, value, name and detail, and the sum last. Wrapped to the columns, if
    given; nothing where it was not asked for."""
    if not hit.explanation:
        return []
    parts = [(p.value, f"{p.name} · {p.detail}" if p.detail else p.name) for p in hit.explanation]
    parts.append((hit.score, "sum"))
    digits = max(len(f"{value:.3f}") for value, _ in parts)
    rows = []
    for value, about in parts:
        about = line(about)
        spans = (wrap(about, max(columns - digits - 2, 2)) if columns else []) or [(0, len(about))]
        margins = [f"{value:>{digits}.3f}  ", *[" " * (digits + 2)] * (len(spans) - 1)]
        rows += [margin + about[start:end] for margin, (start, end) in zip(margins, spans, strict=True)]
    return [screen.paint("dim", row) for row in rows]


def _flow(pieces: Iterable[tuple[str, str]], columns: int, screen: Screen) -> list[str]:
    """Pieces with a dot between them, as many on a row as fit; none is broken, so that a place can be clicked."""
    rows: list[str] = []
    used = 0
    for text, style in pieces:
        width = cells(text)
        if rows and used + 3 + width <= columns:
            rows[-1] += f" · {screen.paint(style, text) if style else text}"
            used += 3 + width
        else:
            rows.append(screen.paint(style, text) if style else text)
            used = width
    return rows


def summary(found: Results, by_words: bool = True) -> str:
    """How much of the answer is shown and, for a search by words, how it was found; without a line end."""
    shown, total = len(found.hits), found.total
    if not total:
        return "nothing found"
    count = f"{shown} of {total}" if shown != total else str(total)
    if by_words and found.query.strip():
        return f"{count} · {_STAGES[found.stage]}"
    return f"{count} {_papers(total)}"


def _papers(count: int) -> str:
    return "paper" if count == 1 else "papers"


# ---- papers


def listing(papers: Sequence[Paper], screen: Screen, locate: Locate) -> str:
    """All papers: a table on a terminal, one `path:line: title` a line on a pipe."""
    if screen.columns is None:
        return "".join(
            f"{screen.paint('place', place(p.path, p.line, locate))}: {line(p.title)}".rstrip() + "\n" for p in papers
        )
    rows = [(line(p.id), str(p.year or ""), line(p.venue or ""), line(p.title), line(p.category or "")) for p in papers]
    widths = [max((cells(row[i]) for row in rows), default=0) for i in range(len(_LISTED))]
    widths[2] = min(widths[2], 14)
    widths[4] = min(widths[4], screen.width // 5) if screen.width >= 60 else 0
    others = sum(width + 2 for i, width in enumerate(widths) if width and i != 3)
    widths[3] = min(widths[3], max(screen.width - others, 8))
    shown = [i for i, width in enumerate(widths) if width]
    text = ""
    for row in rows:
        parts = [(fit(row[i], widths[i]), _LISTED[i]) for i in shown]
        text += "  ".join(screen.paint(style, part) if style else part for part, style in parts).rstrip() + "\n"
    return text


def paper(shown: Paper, screen: Screen, locate: Locate) -> str:
    """One paper whole: what its heading says, its notes as written, its companion notes with their places."""
    where = place(shown.path, shown.line, locate)
    title = screen.paint("bold", line(shown.title))
    venue = shown.venue or ""
    if shown.venue_raw and shown.venue_raw != shown.venue:
        venue += f" ({shown.venue_raw})" if venue else shown.venue_raw
    fields = [
        ("aliases", ", ".join(shown.aliases)),
        ("venue", venue),
        ("year", str(shown.year or "")),
        ("orgs", ", ".join(shown.orgs)),
        ("category", shown.category or ""),
        ("id", shown.id),
    ]
    head = [title if screen.columns else f"{screen.paint('place', where)}: {title}"]
    head += [f"  {name:<9} {line(value)}" for name, value in fields if value]
    head.append(f"  {'at':<9} {screen.paint('place', where)}")
    parts = ["\n".join(head)]
    parts += [_section(section, shown, screen, locate) for section in shown.sections if section.text.strip()]
    return "\n\n".join(parts) + "\n"


def _section(section: Section, shown: Paper, screen: Screen, locate: Locate) -> str:
    text = block(section.text)
    if section.path == shown.path and not section.companion:
        return text
    return f"{screen.paint('place', place(section.path, section.line, locate))}:\n{text}"


# ---- the rest


def facets(counts: FacetCounts, screen: Screen) -> str:
    """Values and their numbers of papers; on a pipe as field, count and value with tabs between them."""
    if screen.columns is None:
        rows = [f"{field}\t{count}\t{line(value)}\n" for field, values in counts.items() for value, count in values]
        return "".join(rows)
    groups = []
    for field, values in counts.items():
        digits = max((len(str(count)) for _, count in values), default=1)
        rows = [f"  {count:>{digits}}  {line(value)}\n" for value, count in values]
        groups.append(screen.paint("bold", field) + "\n" + "".join(rows or ["  (no values)\n"]))
    return "\n".join(groups)


def size(count: int) -> str:
    """Bytes for eyes: 512 B, 1.5 KB, 20 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= scale:
            value = count / scale
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{count} B"


def status(state: Status, screen: Screen) -> str:
    """What is indexed, and whether it is what lies on disk now."""
    rows = [("corpus", ", ".join(state.corpus)), ("index", state.index)]
    if state.built:
        rows += [
            ("papers", f"{state.papers}{f' (and {state.notes} notes outside papers)' if state.notes else ''}"),
            ("files", str(state.files)),
            ("built", f"{state.built_at}, generation {state.generation}, {size(state.bytes)}"),
        ]
    listed = ", ".join(state.stale_files[:_STALE_FILES_NAMED])
    more = len(state.stale_files) - _STALE_FILES_NAMED
    changed = f" ({listed}{f' and {more} more' if more > 0 else ''})" if listed else ""
    if not state.built:
        word = "no index yet; build it with: papersearch index"
    elif state.stale:
        word = f"stale: the notes changed{changed}; the next search refreshes it, as does: papersearch index"
    else:
        word = "up to date"
    rows.append(("state", word))
    return "".join(f"{screen.paint('bold', f'{name:<7}')} {line(value)}\n" for name, value in rows)


def changes(done: Changes) -> str:
    """What a build did, one line for each file that was skipped; a dry run names the papers."""
    words = [f"{len(ids)} {name}" for name, ids in _changed(done)]
    words += [f"{done.unchanged} unchanged", f"{len(done.skipped)} skipped"]
    why = f"; everything anew: {line(done.rebuilt)}" if done.rebuilt else ""
    files = f"{done.files} {'note' if done.files == 1 else 'notes'}"
    dry = "dry run, nothing written: " if done.dry_run else ""
    rows = [f"{dry}{', '.join(words)} ({files}, {done.took_ms:.0f} ms{why})"]
    rows += [line(reason) for reason in done.skipped]
    if done.dry_run and not done.rebuilt:
        rows += [f"{name} {paper_id}" for name, ids in _changed(done) for paper_id in ids]
    return "".join(f"{row}\n" for row in rows)


def _changed(done: Changes) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("added", done.added), ("changed", done.changed), ("removed", done.removed)


def notices(found: Iterable[Notice], locate: Locate) -> str:
    """`path:line: message`, one a line; line 1 where a notice is about the whole note."""
    return "".join(f"{place(notice.path, max(notice.line, 1), locate)}: {line(notice.message)}\n" for notice in found)


def problems(found: Iterable[str]) -> str:
    """What is wrong with an index, one line each."""
    return "".join(f"{line(problem)}\n" for problem in found)
