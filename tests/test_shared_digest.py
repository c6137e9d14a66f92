"""A real digest, where one lies beside this repository: its parse was checked by hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from corpora import REPOSITORY, read
from papersearch.digest import Corpus

DIGEST = REPOSITORY.parent / "shared" / "digest"

pytestmark = pytest.mark.skipif(not (DIGEST / "papers.json").is_file(), reason="no digest beside the repository")

FILES = {"digest": "digest.md", "full-width": "digest_fullwidth.md", "repository": "repo"}


def wanted() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DIGEST / "papers.json").read_text(encoding="utf-8"))
    return found


@cache
def corpus(name: str) -> Corpus:
    return read(DIGEST / FILES[name])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "part", ["title", "alias", "category", "venue", "venue_raw", "year", "orgs", "bullets", "links"]
)
def test_every_paper_is_as_it_was_read_by_hand(name: str, part: str) -> None:
    papers = [p for p in corpus(name).papers if p.kind == "paper" and (name != "repository" or p.path == "readme.md")]
    got = {
        "title": [p.title for p in papers],
        "alias": [p.aliases[0] if p.aliases else None for p in papers],
        "bullets": [p.bullets for p in papers],
        "orgs": [list(p.orgs) for p in papers],
        "links": [list(p.links) for p in papers],
    }.get(part) or [getattr(p, part) for p in papers]
    key = {"bullets": "n_bullets"}.get(part, part)
    assert got == [paper[key] for paper in wanted()]
    assert len(got) == 43


@pytest.mark.parametrize("name", FILES)
def test_headings_stand_where_they_are_said_to(name: str) -> None:
    root = DIGEST / FILES[name]
    for paper in corpus(name).papers:
        lines = (root / paper.path if root.is_dir() else root).read_text(encoding="utf-8-sig").split("\n")
        if paper.kind == "paper":
            assert lines[paper.line - 1].startswith("#")
            assert paper.title.split("(")[0].split("（")[0] in lines[paper.line - 1]


def test_full_width_punctuation_changes_no_id() -> None:
    plain = [p.id for p in corpus("digest").papers]
    assert plain == [p.id for p in corpus("full-width").papers]
    assert set(plain) <= {p.id for p in corpus("repository").papers}


def test_companions_are_attached() -> None:
    companions = {
        p.title: [s.path for s in p.sections if s.companion] for p in corpus("repository").papers if p.kind == "paper"
    }
    for paper in wanted():
        assert companions[paper["title"]] == ([paper["companion"]] if paper["companion"] else [])


def test_the_link_to_the_wrong_folder_is_mended_and_told() -> None:
    mended = [n for n in corpus("repository").notices if n.kind == "link" and n.path == "readme.md"]
    assert len(mended) == 1
    assert "yolov7.md" in mended[0].message and "objectdet/yolov7.md" in mended[0].message


def test_every_note_is_held_by_some_paper() -> None:
    held = {s.path for p in corpus("repository").papers for s in p.sections}
    assert held == {path.relative_to(DIGEST / "repo").as_posix() for path in Path(DIGEST / "repo").rglob("*.md")}
