"""Hits as BibTeX. A digest names no authors, so neither do the entries."""

from __future__ import annotations

import re
import unicodedata

from papersearch.paper import Paper
from papersearch.render.screen import line
from papersearch.results import Results

JOURNALS = frozenset(
    (
        "ACM CSUR", "CACM", "IEEE TKDE", "IEEE TNNLS", "IJCV", "JMLR", "Nature", "PNAS", "Pattern Recognition",
        "Proc. IEEE", "Science", "TACL", "TCAD", "TCSVT", "TDSC", "TIFS", "TIP", "TIST", "TMLR", "TMM", "TOCS", "TODS",
        "TOG", "TOIS", "TPAMI", "TPDS", "TSE",
    )
)  # fmt: skip
"""Canonical venues that are journals; every other one is taken for a conference."""
PREPRINTS = frozenset(("arXiv", "bioRxiv", "medRxiv", "OpenReview"))

# Even an escaped brace counts when BibTeX looks for the end of a value, so braces are written as commands.
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "&": r"\&", "%": r"\%",
        "$": r"\$", "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    }
)  # fmt: skip
_SMALL_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "of", "on", "the", "to", "toward", "towards",
     "via", "with")
)  # fmt: skip
_LONGEST = 30
_URL = re.compile(r"https?://[^\s{}\\]+$", re.IGNORECASE)


def _escape(text: str) -> str:
    return " ".join(line(text).split()).translate(_ESCAPES)


def _telling_words(text: str) -> list[str]:
    """Its words in lower case, without accents, articles and the like. Keys of BibTeX take letters and digits only."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return [word[:_LONGEST] for word in re.findall(r"[a-z0-9]+", plain) if word not in _SMALL_WORDS]


def key(paper: Paper) -> str:
    """din2018deep: alias or first word of the title, year, first telling word of the title; the id if there is none."""
    words = _telling_words(paper.title)
    alias = _telling_words(paper.aliases[0]) if paper.aliases else []
    head = alias or words[:1]
    rest = words[len(head) :] if words[: len(head)] == head else words
    tail = next((word for word in rest if not word.isdigit()), "")
    return f"{''.join(head)}{paper.year or ''}{tail}" if head else f"paper-{paper.id}"


def _entry(paper: Paper, name: str) -> str:
    if paper.venue is None or paper.venue in PREPRINTS:
        kind, home = "misc", "howpublished"
    elif paper.venue in JOURNALS:
        kind, home = "article", "journal"
    else:
        kind, home = "inproceedings", "booktitle"
    url = next((line(link) for link in paper.links if _URL.match(link)), "")
    fields = [
        ("title", f"{{{_escape(paper.title)}}}"),
        (home, _escape(paper.venue or "")),
        ("year", str(paper.year or "")),
        ("url", url),
        ("note", _escape(f"{paper.path}:{paper.line}")),
    ]
    rows = [f"  {field} = {{{value}}}" for field, value in fields if value]
    return f"@{kind}{{{name},\n" + ",\n".join(rows) + "\n}\n"


def bibtex(found: Results) -> str:
    """One entry a hit. Of papers that would share a key all but the first get their id added to it."""
    taken: set[str] = set()
    entries: list[str] = []
    for hit in found.hits:
        name = key(hit.paper)
        if name in taken:
            name = f"{name}-{hit.paper.id}"
        taken.add(name)
        entries.append(_entry(hit.paper, name))
    return "\n".join(entries)
