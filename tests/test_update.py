"""What changed since the last build is analysed again, everything else stays as it is."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from corpora import MIXED, copy_glossary, write_notes
from papersearch import Index, UsageError, digest, open_index
from papersearch.analysis import ANALYSIS
from papersearch.api import build_index
from papersearch.errors import CorpusError
from papersearch.files import read_bytes
from papersearch.index import flatfile
from papersearch.index.places import BY_ROW, Places
from papersearch.index.reader import open_snapshot, read_generation
from papersearch.index.state import LAYOUT
from papersearch.index.verify import verify
from papersearch.reports import Changes

DIGEST = """# D

## Vision

### One[CVPR'22]
- about zebras

### Two[ICML'20]
- about yaks

## Systems

### Three[OSDI'18]
- about gnus
"""


@pytest.fixture(autouse=True)
def _one_glossary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "corpus", {"d.md": DIGEST})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


class Build:
    """Builds, and tells what each build did by titles."""

    def __init__(self, corpus: Path, folder: Path) -> None:
        self.corpus, self.folder = corpus, folder
        self.titles: dict[str, str] = {}
        self.analysed = 0

    def __call__(self, **options: object) -> dict[str, list[str]]:
        def progress(done: int, total: int) -> None:
            assert 0 <= done <= total
            self.analysed = total

        self.analysed = -1
        self.changes = build_index(self.corpus, self.folder, progress=progress, **options)  # type: ignore[arg-type]
        with self.open() as index:
            self.titles |= {paper.id: paper.title for paper in index.papers()}
        named = {
            kind: [self.titles.get(i, i) for i in getattr(self.changes, kind)]
            for kind in ("added", "changed", "removed")
        }
        return {kind: names for kind, names in named.items() if names}

    def open(self) -> Index:
        return open_index(self.corpus, self.folder, refresh=False)


@pytest.fixture
def build(corpus: Path, folder: Path) -> Build:
    return Build(corpus, folder)


def test_a_first_build_adds_everything(build: Build) -> None:
    assert build() == {"added": ["One", "Two", "Three"]}
    assert (build.changes.rebuilt, build.changes.files, build.changes.unchanged, build.analysed) == (
        "no index yet",
        1,
        0,
        3,
    )
    assert build.changes.any and build.changes.took_ms > 0


def test_where_nothing_changed_nothing_is_written(build: Build, folder: Path) -> None:
    build()
    before = {f.name: f.stat().st_mtime_ns for f in folder.iterdir() if f.name != "lock"}
    assert build() == {}
    assert (build.changes.any, build.changes.unchanged, build.changes.rebuilt) == (False, 3, "")
    assert {f.name: f.stat().st_mtime_ns for f in folder.iterdir() if f.name != "lock"} == before


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("about yaks", "about oxen", {"changed": ["Two"]}),
        ("- about yaks\n", "", {"changed": ["Two"]}),
        ("## Vision", "## Seeing", {"changed": ["One", "Two"]}),
        ("### Two[ICML'20]", "### Two[ICML'20][Acme]", {"changed": ["Two"]}),
        ("### Two[ICML'20]", "### Deux[ICML'20]", {"added": ["Deux"], "removed": ["Two"]}),
        ("### Two[ICML'20]\n- about yaks\n\n", "", {"removed": ["Two"]}),
        ("## Vision\n", "## Vision\n\n### Zero[KDD'19]\n- about oxen\n", {"added": ["Zero"]}),
        ("\n", "\r\n", {}),
        ("# D\n", "# D\n\n\n\n", {}),
    ],
    ids=["notes", "notes gone", "category", "org", "title", "paper gone", "paper new", "line ends", "blank lines"],
)
def test_only_what_changed_is_analysed(
    build: Build, corpus: Path, old: str, new: str, wanted: dict[str, list[str]]
) -> None:
    build()
    write_notes(corpus, {"d.md": DIGEST.replace(old, new)})
    assert build() == wanted
    assert build.analysed == sum(len(names) for kind, names in wanted.items() if kind != "removed")
    assert build.changes.rebuilt == ""


def test_papers_that_moved_are_found_at_their_new_place(build: Build, corpus: Path) -> None:
    build()
    at = DIGEST.index("## Systems")
    write_notes(corpus, {"d.md": "\n\n" + DIGEST[:at], "new/place.md": "# D\n\n" + DIGEST[at:]})
    assert build() == {}
    with build.open() as index:
        assert [(p.title, p.path, p.line) for p in index.papers()] == [
            ("One", "d.md", 7), ("Two", "d.md", 10), ("Three", "new/place.md", 5),
        ]  # fmt: skip
        (hit,) = index.search("gnus")
        assert (hit.snippet_path, hit.snippet_line) == ("new/place.md", 6)


def test_the_reading_order_is_that_of_the_files(build: Build, corpus: Path) -> None:
    build()
    parts = DIGEST.split("### ")
    write_notes(
        corpus,
        {
            "d.md": "### ".join([parts[0], parts[2].removesuffix("## Systems\n\n"), parts[1], "x"])[:-5]
            + "\n## Systems\n\n### "
            + parts[3]
        },
    )
    assert build() == {}
    with build.open() as index:
        assert [p.title for p in index.papers()] == ["Two", "One", "Three"]
        assert [hit.paper.title for hit in index.search("")] == ["Two", "One", "Three"]


def test_an_edited_companion_changes_its_paper(folder: Path, tmp_path: Path) -> None:
    corpus = write_notes(tmp_path / "c", {p.relative_to(MIXED).as_posix(): p.read_bytes() for p in MIXED.rglob("*.md")})
    build = Build(corpus, folder)
    build()
    note = corpus / "notes" / "compiler.md"
    note.write_text(note.read_text(encoding="utf-8") + "\n另有一节讲斑马。\n", encoding="utf-8")
    assert build() == {"changed": ["Graph Compilers from Scratch"]}
    with build.open() as index:
        (hit,) = index.search("斑马")
        assert (hit.paper.title, hit.snippet_path) == ("Graph Compilers from Scratch", "notes/compiler.md")
    note.unlink()
    assert build() == {"changed": ["Graph Compilers from Scratch"]}
    with build.open() as index:
        assert index.search("斑马").total == 0


def test_a_removed_word_leaves_no_trace(build: Build, corpus: Path) -> None:
    build()
    write_notes(corpus, {"d.md": DIGEST.replace("zebras", "oxen").replace("[CVPR'22]", "[KDD'22]")})
    build()
    with build.open() as index:
        for query in (
            "zebras",
            "zebra",
            "zebr",
            "zebrs",
            "ze*",
            "zebra~",
            "zebras~2",
            '"about zebras"',
            "title:one zebras",
        ):
            assert index.search(query, strict=True).total == 0, query
            assert not any("zebra" in notice for notice in index.search(query).notices), query
        assert index.search(venue="CVPR").total == 0
        assert "CVPR" not in dict(index.facets()["venue"])


def test_a_touched_file_costs_one_look(build: Build, corpus: Path, folder: Path) -> None:
    build()
    os.utime(corpus / "d.md", (1_000_000_000, 1_000_000_000))
    assert build() == {}
    assert build.analysed in (-1, 0)
    generation = read_generation(folder)
    assert build() == {}
    assert read_generation(folder) == generation


def test_rebuild_analyses_everything_again(build: Build, folder: Path) -> None:
    build()
    assert build(rebuild=True) == {"added": ["One", "Two", "Three"]}
    assert (build.changes.rebuilt, build.analysed) == ("asked for", 3)
    assert read_generation(folder) == 2


def test_a_dry_run_says_the_same_and_does_nothing(build: Build, corpus: Path, folder: Path) -> None:
    def outline(changes: Changes) -> tuple[object, ...]:
        return (changes.added, changes.changed, changes.removed, changes.unchanged, changes.files, changes.rebuilt)

    dry = build_index(corpus, folder, dry_run=True)
    assert dry.dry_run and not folder.exists()
    build()
    assert outline(build.changes) == outline(dry)
    write_notes(corpus, {"d.md": DIGEST.replace("yaks", "oxen").replace("One", "Uno")})
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    dry = build_index(corpus, folder, dry_run=True)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    build()
    assert outline(build.changes) == outline(dry)
    assert not build.changes.dry_run


def test_generations_count_up_and_are_kept_apart(build: Build, corpus: Path, folder: Path) -> None:
    build()
    with open_snapshot(folder) as old:
        for n in range(3):
            write_notes(corpus, {"d.md": DIGEST.replace("yaks", f"oxen{n}")})
            build()
            assert read_generation(folder) == n + 2
        assert old.generation == 1
        assert old.field("text").doc_frequency("yaks") == 1


def test_many_updates_leave_few_files(build: Build, corpus: Path, folder: Path) -> None:
    build()
    for n in range(12):
        write_notes(corpus, {"d.md": DIGEST.replace("yaks", f"oxen{n}")})
        build()
    assert len(list(folder.iterdir())) <= 40
    with build.open() as index:
        assert [hit.paper.title for hit in index.search("oxen11")] == ["Two"]
        assert index.search("oxen10 ", strict=True).total == 0


def test_skipped_files_and_warnings_are_told_and_remembered(build: Build, corpus: Path) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(corpus / "pipe.md")
    write_notes(corpus, {"gbk.md": "### Vier[ICML'20]\n- 中文笔记，足够长的一句话\n".encode("gbk")})
    build()
    assert [line for line in build.changes.warnings if "gbk.md" in line]
    assert [line for line in build.changes.skipped if "pipe.md" in line] or not hasattr(os, "mkfifo")
    build()
    assert [line for line in build.changes.warnings if "gbk.md" in line]


@pytest.mark.parametrize("files", [{}, {"empty.md": ""}, {"blank.md": "\n\n---\n"}, {"other.txt": "words"}])
def test_where_there_is_nothing_to_index(tmp_path: Path, folder: Path, files: dict[str, str]) -> None:
    (tmp_path / "c").mkdir()
    with pytest.raises(CorpusError, match="no papers"):
        build_index(write_notes(tmp_path / "c", files), folder)
    assert read_generation(folder) is None


def test_no_corpus_at_all(folder: Path) -> None:
    with pytest.raises(UsageError, match="corpus"):
        build_index([], folder)
    assert not folder.exists()


# ---- edits of files that depend on no other


def two_files(corpus: Path) -> None:
    write_notes(corpus, {"a.md": DIGEST.replace("One", "Uno").replace("Two", "Duo").replace("Three", "Tre")})
    write_notes(corpus, {"z.md": "## Vision\n\n### Last[ICML'20][acme]\n- about elk\n\nwords outside\n"})


def same_places(one: Places, other: Places) -> None:
    for name in BY_ROW:
        assert one.values(name) == other.values(name), name
    assert one.states() == other.states() and one.links() == other.links()
    assert one.spellings() == other.spellings()
    for number in range(one.file_count):
        assert one.outline(number) == other.outline(number), one.path(number)


def same_as_anew(corpus: Path, folder: Path, tmp_path: Path) -> None:
    build_index(corpus, tmp_path / "anew", rebuild=True)
    with open_index(corpus, folder, refresh=False) as updated, open_index(corpus, tmp_path / "anew") as anew:
        assert updated.papers() == anew.papers()
        assert updated.facets() == anew.facets()
        for query in ("", "zebras", "yaks", "elk", "about", "oxen", "org:acme"):
            assert [(h.paper.id, round(h.score, 5)) for h in updated.search(query, limit=None)] == [
                (h.paper.id, round(h.score, 5)) for h in anew.search(query, limit=None)
            ], query
    with open_snapshot(folder) as one, open_snapshot(tmp_path / "anew") as other:
        volatile = {"built_at", "looked_at", "origin"}
        assert {k: v for k, v in one.meta.items() if k not in volatile} == {
            k: v for k, v in other.meta.items() if k not in volatile
        }
        assert one.places is not None and other.places is not None
        same_places(one.places, other.places)
    assert verify(folder) == []


EDITS = [
    ("about yaks", "about oxen"),
    ("- about yaks\n", "- about yaks\n\n\n- and more\n"),
    ("## Vision", "## VISION"),
    ("### Two[ICML'20]", "### Two[icml'20][Acme,Lab]"),
    ("### Two[ICML'20]", "### Deux[ICML'20]"),
    ("### Two[ICML'20]\n- about yaks\n\n", ""),
    ("## Vision\n", "## Vision\n\n### Zero[KDD'19]\n- about oxen\n"),
    ("### One", "Words before\n\n### Half[KDD'19][ACME]\n\n### One"),
    ("### Two", "# Two"),
    ("about yaks", "about yaks, see [notes](https://example.org/notes.md) and <https://example.org/x.md>"),
    ("about yaks", "about yaks, see [more](z.md)"),
    ("about yaks", "about yaks, see [more](gone.MD#x) and [less](a%2Emd)"),
    ("about yaks", "about yaks\n```\n### Fenced[CVPR'22]"),
    ("### Two", "```\n### Two"),
    ("### Two[ICML'20]", "Two[ICML'20]\n---"),
    ("- about yaks", "- about [yaks]\n\n[yaks]: z.md"),
    (DIGEST, "no heading, some words\n"),
    (DIGEST, ""),
]


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_an_edit_of_one_file_reads_no_other(
    build: Build, corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    two_files(corpus)
    build()
    write_notes(corpus, {"d.md": DIGEST.replace(old, new)})
    with monkeypatch.context() as patch:
        patch.setattr("papersearch.digest.read_corpus", None)
        build()
    same_as_anew(corpus, folder, tmp_path)
    write_notes(corpus, {"d.md": DIGEST, "a.md": DIGEST.replace("One", "Eins").replace("Two[", "Zwei[")[:60]})
    with monkeypatch.context() as patch:
        patch.setattr("papersearch.digest.read_corpus", None)
        build()
        build()
    same_as_anew(corpus, folder, tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.md", DIGEST.replace("### Two", "### One[CVPR'22]\n- twin\n\n### Two")),
        ("d.md", DIGEST.replace("### Two[ICML'20]", "### Last[ICML'20]")),
        ("d.md", DIGEST.encode("gbk") + "### 四[ICML'20]\n- 中文笔记，足够长的一句话\n".encode("gbk")),
        ("new.md", "### One[CVPR'22]\n- twin\n"),
        ("z.md", None),
    ],
    ids=["twin", "twin elsewhere", "encoding", "new file", "file gone"],
)
def test_where_files_depend_on_each_other_all_are_read(
    build: Build, corpus: Path, folder: Path, tmp_path: Path, name: str, content: str | bytes | None
) -> None:
    two_files(corpus)
    build()
    if content is None:
        (corpus / name).unlink()
    else:
        write_notes(corpus, {name: content})
    build()
    same_as_anew(corpus, folder, tmp_path)
    write_notes(corpus, {"d.md": DIGEST.replace("yaks", "oxen")})
    build()
    same_as_anew(corpus, folder, tmp_path)


LONG = {
    "a.md": "## Vision\n\n### Far[CVPR'22]\n- [long](long/far.md)\n\n### Near[ICML'20]\n- about yaks\n",
    "b.md": "## Systems\n\n### Other[OSDI'18]\n- [long](long/other.md) and [its](long/more.md)\n",
    "c.md": "## Nothing\n\n### Alone[KDD'19]\n- about elk\n",
    "long/far.md": "# far\nabout oxen\n",
    "long/more.md": "# more\nabout zebras\n",
    "long/other.md": "# other\nabout zebras, [further](further.md)\n",
    "long/further.md": "about gnus\n",
    "long/orphan.md": "about yaks\n",
}


@pytest.mark.parametrize(
    ("name", "old", "new", "read"),
    [
        ("long/far.md", "oxen", "elk", {"a.md", "long/far.md"}),
        ("long/far.md", "about oxen", "[other](other.md)", {"a.md", "b.md", *(n for n in LONG if n.startswith("long/f"))}),
        ("a.md", "yaks", "[yaks](long/orphan.md)", {"a.md", "long/far.md", "long/orphan.md"}),
        ("a.md", "[long](long/far.md)", "nothing", {"a.md", "long/far.md"}),
        ("a.md", "yaks", "[more](long/more.md)", {"a.md", "b.md", "long/far.md"}),
        ("b.md", "### Other[OSDI'18]", "other", {"b.md"}),
        ("c.md", "elk", "[both](a.md) [ways](b.md)", {"c.md", "a.md", "b.md"}),
        ("c.md", "elk", "oxen", {"c.md"}),
    ],
)  # fmt: skip
def test_an_edit_reads_what_links_connect(
    build: Build, corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, old: str, new: str, read: set[str],
) -> None:  # fmt: skip
    """As an index that is built anew, and back; of files that nothing connects with the edited one, none is parsed."""
    (corpus / "d.md").unlink()
    write_notes(corpus, LONG)
    build()
    seen: set[str] = set()
    parse = digest.parse_note
    for text in (LONG[name].replace(old, new), LONG[name]):
        write_notes(corpus, {name: text})
        with monkeypatch.context() as patch:
            patch.setattr("papersearch.digest.read_corpus", None)
            patch.setattr("papersearch.digest.parse_note", lambda path, text: seen.add(path) or parse(path, text))
            build()
        same_as_anew(corpus, folder, tmp_path)
    assert name in seen and seen >= read and (name == "c.md" or "c.md" not in seen)
    assert ("long/orphan.md" in seen) == ("orphan" in new)


def test_of_an_edited_file_only_changed_papers_are_parsed(
    build: Build, corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    papers = [f"### Paper {n}[CVPR'22]\n- about w{n}, [there](https://example.org/{n})\n\n" for n in range(300)]
    write_notes(corpus, {"d.md": "## C\n\n" + "".join(papers)})
    build()
    parsed: list[str] = []
    outline = digest._outline
    papers[100] += "- about zebras\n"
    papers.insert(20, "### New[ICML'20]\n- about [yaks](https://example.org/y)\n\n")
    del papers[50]
    write_notes(corpus, {"d.md": "## C\n\n" + "".join(papers)})
    with monkeypatch.context() as patch:
        patch.setattr("papersearch.digest._outline", lambda text: parsed.append(text) or outline(text))
        build()
    assert build.analysed == len(parsed) == 2 and "zebras" in parsed[1]
    same_as_anew(corpus, folder, tmp_path)


def test_twins_that_come_at_once(build: Build, corpus: Path, folder: Path, tmp_path: Path) -> None:
    two_files(corpus)
    build()
    twin = "\n### New[ICML'20]\n- about oxen\n"
    write_notes(corpus, {name: (corpus / name).read_text("utf-8") + twin for name in ("a.md", "z.md")})
    build()
    same_as_anew(corpus, folder, tmp_path)


def test_the_first_of_two_twins_goes(build: Build, corpus: Path, folder: Path, tmp_path: Path) -> None:
    write_notes(corpus, {"e.md": "### Two[ICML'20]\n- about elk\n"})
    build()
    write_notes(corpus, {"d.md": DIGEST.replace("### Two[ICML'20]\n- about yaks\n\n", "")})
    build()
    same_as_anew(corpus, folder, tmp_path)


def test_many_edits_of_many_papers(build: Build, corpus: Path, folder: Path, tmp_path: Path) -> None:
    """Past the size below which everything becomes one segment, through merges of every kind."""
    random = Random(7)
    texts = {
        f"f{n}.md": [
            f"### Paper {n} {m}[CVPR'2{m % 3}][{'ACME' if m % 2 else 'acme'}]\n- about w{m}\n" for m in range(60)
        ]
        for n in range(5)
    }
    write_notes(corpus, {name: "\n".join(["## C", *papers]) for name, papers in texts.items()})
    build()
    for step in range(30):
        name = random.choice(sorted(texts))
        papers = texts[name]
        at = random.randrange(len(papers))
        match random.randrange(4):
            case 0:
                papers.insert(at, f"### New {step}[KDD'21][Acme]\n- about oxen\n")
            case 1:
                del papers[at]
            case 2:
                papers[at] += f"- step {step}\n"
            case 3:
                papers.insert(0, papers.pop(at))
        write_notes(corpus, {name: "\n".join(["## C", *papers])})
        build_index(corpus, folder)
        if step % 10 == 9:
            same_as_anew(corpus, folder, tmp_path)


# ---- notes that cannot be read


LINKED = {
    "a.md": DIGEST + "- see [more](more.md) and [others](lone.md)\n### Four[KDD'21]\n- see [more](more.md)\n",
    "b.md": "## Vision\n\n### Last[ICML'20][acme]\n- about elk, see [all](a.md)\n\n### Two[ICML'20]\n- again, see [lone](lone.md)\n",
    "inner.md": DIGEST.replace("## ", "## In "),
    "lone.md": "# Lone[Acme]\nabout mice, see [back](a.md)\n",
    "more.md": "---\nx: y\n---\n\n# More\n\nabout moles\n",
    "words.md": "no heading, some words, and about [mice](lone.md)\n",
    "z.md": "### Last but one[KDD'22]\n- about [all](inner.md)\n",
}
"""Digests, papers of the same heading, companions of one and of several, one that is a digest too, other notes."""


def unreadable(monkeypatch: pytest.MonkeyPatch, *files: Path) -> None:
    def read(path: str) -> bytes:
        if Path(path) in files:
            raise OSError(5, "Input/output error")
        return read_bytes(path)

    for module in ("files", "digest", "index.update"):
        monkeypatch.setattr(f"papersearch.{module}.read_bytes", read)


@pytest.mark.parametrize("others", [(), ("b.md",), ("lone.md",), tuple(LINKED)])
@pytest.mark.parametrize("name", LINKED)
def test_a_note_that_cannot_be_read_stays_as_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, others: tuple[str, ...]
) -> None:
    """Until it can be; what else was edited is indexed."""
    corpus = write_notes(tmp_path / "c", LINKED)
    build = Build(corpus, folder)
    build()
    edited = {other: LINKED[other].replace("about", "now about") + "- oxen\n" for other in others}
    write_notes(corpus, edited | {name: "### Other[CVPR'22]\n- torn"})
    with monkeypatch.context() as patch:
        unreadable(patch, corpus / name)
        for _ in range(2):
            build()
            assert build.changes.skipped == (
                f"{name}: cannot be read (Input/output error); its papers stay as they were",
            )
            same = write_notes(tmp_path / "same", LINKED | edited | {name: LINKED[name]})
            with build.open() as index, open_index(same, tmp_path / "one") as anew:
                assert index.papers() == anew.papers()
                assert index.search("about", limit=None).hits == anew.search("about", limit=None).hits
            assert verify(folder) == []
            with open_index(corpus, folder) as index:
                assert not index.status().stale
    with open_index(corpus, folder) as index:
        assert not index.notices
    same_as_anew(corpus, folder, tmp_path)


def other_words(patch: pytest.MonkeyPatch, corpus: Path, folder: Path) -> None:
    write_notes(corpus, {"terms.txt": "斑鹿角羚\n"})


def other_analysis(patch: pytest.MonkeyPatch, corpus: Path, folder: Path) -> None:
    patch.setattr("papersearch.analysis.ANALYSIS", ANALYSIS + 1)


def damaged_postings(patch: pytest.MonkeyPatch, corpus: Path, folder: Path) -> None:
    for path in folder.glob("*.inv"):
        path.write_bytes(path.read_bytes()[:-9])


def damaged_table(patch: pytest.MonkeyPatch, corpus: Path, folder: Path) -> None:
    (folder / "toc.json").write_bytes(b"{")


def asked_for(patch: pytest.MonkeyPatch, corpus: Path, folder: Path) -> None:
    return


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, asked_for) for name in LINKED),
        ("a.md", other_words),
        ("lone.md", other_analysis),
        ("b.md", damaged_postings),
    ],
)
def test_a_note_that_cannot_be_read_stays_when_everything_is_built_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: Callable[..., None]
) -> None:
    """Its papers come from the index that is replaced, as far as that is whole."""
    corpus = write_notes(tmp_path / "c", LINKED)
    build = Build(corpus, folder)
    build()
    lost = reason is damaged_postings
    with monkeypatch.context() as patch:
        reason(patch, corpus, folder)
        unreadable(patch, corpus / name)
        build(rebuild=reason is asked_for)
        assert build.changes.rebuilt
        left = "skipped" if lost else "its papers stay as they were"
        assert build.changes.skipped == (f"{name}: cannot be read (Input/output error); {left}",)
        same = write_notes(tmp_path / "same", LINKED)
        with contextlib.suppress(FileNotFoundError):
            (same / "terms.txt").write_bytes((corpus / "terms.txt").read_bytes())
        if not lost:
            with build.open() as index, open_index(same, tmp_path / "one") as anew:
                assert index.papers() == anew.papers()
                assert index.search("about", limit=None).hits == anew.search("about", limit=None).hits
        assert verify(folder) == []
        build()
    build()
    same_as_anew(corpus, folder, tmp_path)


def test_an_index_that_is_damaged_while_it_is_replaced_is_done_without(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_notes(tmp_path / "c", LINKED)
    build = Build(corpus, folder)
    build()
    with monkeypatch.context() as patch:
        patch.setattr(Places, "states", lambda places: (_ for _ in ()).throw(flatfile.damaged(places.path, "cut")))
        build(rebuild=True)
    assert build.changes.rebuilt
    same_as_anew(corpus, folder, tmp_path)


@pytest.mark.parametrize("what", ["listed", "gone", "new", "another layout", "damaged", "of another corpus"])
def test_where_nothing_is_known_of_a_note_that_cannot_be_read(
    build: Build, corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It is left out, and one line says so; one that is not there any more when the notes are listed is gone."""
    write_notes(corpus, {"z.md": "### Last[ICML'20]\n- about elk\n"})
    if what != "new":
        build()
    if what == "gone":
        (corpus / "z.md").unlink()
    if what == "of another corpus":
        build.corpus = write_notes(tmp_path / "d", {"d.md": DIGEST, "z.md": "### New[ICML'20]\n- about rats\n"})
    with monkeypatch.context() as patch:
        unreadable(patch, build.corpus / "z.md")
        (build.corpus / "d.md").write_text(DIGEST + "- oxen\n")
        if what == "another layout":
            patch.setattr("papersearch.index.state.LAYOUT", LAYOUT + 1)
        if what == "damaged":
            damaged_table(patch, corpus, folder)
        build()
        with build.open() as index:
            assert [hit.paper.title for hit in index.search("elk")] == (["Last"] if what == "listed" else [])
    said = {"listed": "stay as they were$", "gone": "^$"}.get(what, "cannot be read .*skipped$")
    assert re.search(said, "; ".join(build.changes.skipped))
    build()
    same_as_anew(build.corpus, folder, tmp_path)


def test_a_note_that_vanishes_after_it_was_listed_stays_until_the_next_look(
    build: Build, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notes(corpus, {"z.md": "### Last[ICML'20]\n- about elk\n"})
    build()

    def read(path: str) -> bytes:
        (corpus / "z.md").unlink(missing_ok=True)
        return read_bytes(path)

    with monkeypatch.context() as patch:
        (corpus / "z.md").write_text("### Last[ICML'20]\n- about elks\n")
        patch.setattr("papersearch.index.update.read_bytes", read)
        assert build() == {}
        assert "No such file" in build.changes.skipped[0]
    with build.open() as index:
        assert index.search("elk").total == 1 and index.status().stale
    assert build() == {"removed": ["Last"]}
    assert build.changes.skipped == ()


# ---- a file of the user's own terms


def test_own_terms_join_names_and_words(build: Build, corpus: Path) -> None:
    write_notes(corpus, {"d.md": DIGEST.replace("about yaks", "about yaks 和斑鹿角羚群")})
    build()
    with build.open() as index:
        assert index.search("grunniens").total == 0
    write_notes(corpus, {"terms.txt": "yak | grunniens\n斑鹿角羚\n"})
    changes = build_index(corpus, build.folder)
    assert "terms" in changes.rebuilt
    with build.open() as index:
        assert [hit.paper.title for hit in index.search("grunniens")] == ["Two"]
        assert [hit.paper.title for hit in index.search("斑鹿角羚")] == ["Two"]
    assert not build_index(corpus, build.folder).any
    (corpus / "terms.txt").unlink()
    with open_index(corpus, build.folder) as index:
        assert index.search("grunniens").total == 0


def test_own_terms_that_cannot_be_read_stay(build: Build, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_notes(
        corpus,
        {"d.md": DIGEST.replace("about yaks", "about yaks 和斑鹿角羚群"), "terms.txt": "yak | grunniens\n斑鹿角羚\n"},
    )
    build()
    write_notes(corpus, {"terms.txt": "zebra | connochaetes\n", "new.md": "### New[CVPR'22]\n- about oxen\n"})
    with monkeypatch.context() as patch:
        unreadable(patch, corpus / "terms.txt")
        changes = build_index(corpus, build.folder)
        assert (len(changes.added), changes.rebuilt) == (1, "")
        assert [line for line in changes.warnings if "terms.txt" in line and "stays" in line]
        with build.open() as index:
            assert [hit.paper.title for hit in index.search("grunniens")] == ["Two"]
    assert "terms" in build_index(corpus, build.folder).rebuilt
    with build.open() as index:
        assert index.search("grunniens").total == 0 and index.search("connochaetes").total == 1


@pytest.mark.parametrize("waits", [False, True], ids=["while it builds", "while it waits"])
def test_own_terms_that_change_during_a_build_are_seen_by_the_next_at_the_latest(
    build: Build, corpus: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    write_notes(corpus, {"terms.txt": "yak | grunniens\n"})
    build()
    left = [1, 1]

    def read(path: str) -> bytes:
        data = read_bytes(path)
        if path.endswith("terms.txt") and left[waits]:
            left[waits] -= 1
            write_notes(corpus, {"terms.txt": "zebra | grunniens\n"})
        return data

    with monkeypatch.context() as patch:
        patch.setattr("papersearch.index.update.read_bytes", read)
        write_notes(corpus, {"d.md": DIGEST + "- oxen\n"})
        build()
    with open_index(corpus, build.folder) as index:
        assert [hit.paper.title for hit in index.search("grunniens")] == ["One"]
