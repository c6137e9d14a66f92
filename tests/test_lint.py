"""What `check` tells the owner of a digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora import LINKS, MIXED, SHIPPED, write_notes
from papersearch import check_corpus
from papersearch.errors import CorpusError
from papersearch.files import Notice
from papersearch.lint import check


def digest(*headings: str) -> str:
    return "# D\n\n## C\n\n" + "".join(f"### {heading}\n- text\n\n" for heading in headings)


def kinds(notices: list[Notice]) -> list[tuple[int, str]]:
    return [(notice.line, notice.kind) for notice in notices]


def test_a_clean_digest_has_nothing_to_mend(tmp_path: Path) -> None:
    write_notes(tmp_path, {"d.md": digest("One[CVPR'22]", "Two[arXiv'23]")})
    assert check([tmp_path]) == []


def test_headings_without_venue_or_year(tmp_path: Path) -> None:
    write_notes(tmp_path, {"d.md": digest("One[CVPR'22]", "Two: Bare", "Three[arXiv]", "Four[2020]")})
    assert kinds(check([tmp_path])) == [(8, "venue"), (8, "year"), (11, "year"), (14, "venue")]


def test_text_outside_of_papers_needs_no_venue(tmp_path: Path) -> None:
    write_notes(tmp_path, {"d.md": "some words\n\n" + digest("One[CVPR'22]"), "loose.md": "just a note\n"})
    assert check([tmp_path]) == []


def test_duplicates_name_the_place_of_the_first(tmp_path: Path) -> None:
    files = {
        "a.md": digest("One: the Title[CVPR'22]", "Other[CVPR'22]"),
        "b.md": digest("ＯＮＥ the title[ICML'20]", "One - The (Title)[ICML'21]"),
    }
    notices = check([write_notes(tmp_path, files)])
    assert [(n.path, n.line, n.kind) for n in notices] == [("b.md", 5, "duplicate"), ("b.md", 8, "duplicate")]
    assert all("a.md:5" in n.message for n in notices)


@pytest.mark.parametrize(
    "written", ["CVPR'22", "cvpr'22", "NIPS'22", "Arxiv'22", "PAMI'22", "S&P'22", "ACM MM'22", "Usenix Sec'22"]
)
def test_known_spellings_are_not_suspicious(tmp_path: Path, written: str) -> None:
    write_notes(tmp_path, {"d.md": digest(f"One[{written}]")})
    assert check([tmp_path]) == []


def test_a_corrected_slip_names_both_spellings(tmp_path: Path) -> None:
    write_notes(tmp_path, {"d.md": digest("One[CVPR'22]", "Two[Arixv'22]")})
    (notice,) = check([tmp_path])
    assert (notice.path, notice.line, notice.kind) == ("d.md", 8, "spelling")
    assert "Arixv" in notice.message and "arXiv" in notice.message


def test_an_unknown_venue_is_suspicious_only_where_it_stands_alone(tmp_path: Path) -> None:
    headings = ("One[Zorgcon'20]", "Two[Zorgcon'21]", "Three[Blipcon'20]", "Four[zorgcon'22]")
    write_notes(tmp_path, {"d.md": digest(*headings)})
    (notice,) = check([tmp_path])
    assert (notice.line, notice.kind) == (11, "spelling")
    assert "Blipcon" in notice.message


def test_broken_links_are_told_once_each_with_their_line() -> None:
    links = [(n.line, n.message) for n in check([LINKS]) if n.kind == "link"]
    assert len(links) == len(set(links))
    lines = [line for line, _ in links]
    assert [line for line in lines if line != 9] == [12, 15, 18, 18]
    told = "\n".join(message for _, message in links)
    assert "right/only.md" in told
    assert "gone.md" in told and "gone.pdf" in told
    assert "example.org" not in told


def test_files_in_other_encodings_are_named(tmp_path: Path) -> None:
    write_notes(tmp_path, {"d.md": digest("One[CVPR'22]"), "z.md": "中文笔记，足够长的一句话".encode("gbk")})
    (notice,) = check([tmp_path])
    assert (notice.path, notice.line, notice.kind) == ("z.md", 0, "encoding")


def test_notices_come_by_path_and_line(tmp_path: Path) -> None:
    bad = digest("One", "Two[Arixv'22]", "Two[arXiv'22]", "See [x](gone.md)[ICML'20]")
    notices = check([write_notes(tmp_path, {"b.md": bad, "a.md": bad, "c/d.md": bad})])
    assert notices == sorted(notices, key=lambda n: (n.path, n.line))
    assert {n.path for n in notices} == {"a.md", "b.md", "c/d.md"}


def test_several_roots_keep_their_names_apart(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_notes(tmp_path / name, {"d.md": digest("One[CVPR'22]")})
    (notice,) = check([tmp_path / "first", tmp_path / "second"])
    assert (notice.path, notice.kind) == ("second/d.md", "duplicate")
    assert "first/d.md:5" in notice.message


def test_the_shipped_digest_has_only_what_it_is_meant_to_show() -> None:
    notices = check([SHIPPED])
    assert {n.kind for n in notices} == {"link", "spelling", "venue", "year"}
    assert sum(n.kind == "spelling" for n in notices) == 2
    assert [n.line for n in check([MIXED])] == [42, 42]


def test_the_public_function_takes_paths_and_names_a_missing_corpus(tmp_path: Path) -> None:
    assert check_corpus(str(MIXED)) == check_corpus([MIXED]) == check([MIXED])
    with pytest.raises(CorpusError, match="nowhere"):
        check_corpus(tmp_path / "nowhere")
