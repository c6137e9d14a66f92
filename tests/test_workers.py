"""Builds on several cores: the same answers whatever their number, one clear line and no debris when one fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from corpora import copy_glossary, write_notes
from papersearch import open_index
from papersearch.api import build_index
from papersearch.errors import IndexFolderError
from papersearch.index import codec, workers
from papersearch.index.builder import merge_segments
from papersearch.index.reader import open_snapshot
from papersearch.index.segment import Segment
from papersearch.index.toc import read_toc
from papersearch.index.verify import verify
from papersearch.paper import Paper, Section


@pytest.fixture(autouse=True)
def _one_glossary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)


def write_corpus(folder: Path) -> Path:
    words = ["zebra", "后门攻击", "yak", "LightSeq2", "检测", "斑鹿角羚", "x\x00"]
    papers = [
        f"### Paper {n}{words[n % 7]}[CVPR'{n % 20 + 10}]\n- {' '.join(words[: n % 7 + 1])} {n}\n" for n in range(300)
    ]
    return write_notes(
        folder, {"a.md": "".join(papers[:120]), "b.md": "".join(papers[120:]), "terms.txt": "斑鹿角羚\n"}
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "c")


def number_of_workers(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(workers, "workers_for", lambda papers: count)


def build(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> list[tuple[int, int]]:
    number_of_workers(monkeypatch, count)
    seen: list[tuple[int, int]] = []
    build_index(corpus, folder, progress=lambda done, total: seen.append((done, total)))
    return seen


@pytest.mark.parametrize("joined", [False, True])
def test_answers_do_not_depend_on_the_number_of_workers(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joined: bool
) -> None:
    if not joined:
        monkeypatch.setattr(codec, "LARGEST_JOINED", 0)
    for count in (1, 2, 3):
        reports = build(corpus, tmp_path / str(count), monkeypatch, count)
        assert reports == sorted(reports) and reports[0] == (0, 300) and reports[-1] == (300, 300) and len(reports) > 5
        assert verify(tmp_path / str(count)) == []
    with open_index(corpus, tmp_path / "1") as alone, open_index(corpus, tmp_path / "3") as many:
        with open_snapshot(tmp_path / "1") as one, open_snapshot(tmp_path / "3") as other:
            assert len(other.segments()) == (1 if joined and find_spec("numpy") else 3)
            assert [one.stored(doc) for doc in one.docs()] == [other.stored(doc) for doc in other.docs()]
        assert alone.papers() == many.papers() and alone.facets() == many.facets()
        for query in ("zebra", "后门", "斑鹿角羚", "lightseq 2", "yak year:2015..", "tranformer", "检测 -yak"):
            mine, theirs = alone.search(query, limit=None), many.search(query, limit=None)
            assert [(h.paper.id, h.score, h.stage) for h in mine] == [(h.paper.id, h.score, h.stage) for h in theirs]


def test_a_large_change_of_an_index_that_is_there(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(corpus, tmp_path / "i", monkeypatch, 1)
    text = (corpus / "b.md").read_text(encoding="utf-8")
    write_notes(corpus, {"b.md": text.replace("- zebra", "- gnu and zebra").replace("Paper 299", "Paper 300")})
    build(corpus, tmp_path / "i", monkeypatch, 2)
    build(corpus, tmp_path / "anew", monkeypatch, 1)
    assert verify(tmp_path / "i") == []
    with open_index(corpus, tmp_path / "i") as updated, open_index(corpus, tmp_path / "anew") as anew:
        assert updated.papers() == anew.papers()
        assert updated.search("gnu", limit=None).total == anew.search("gnu", limit=None).total == 180


@pytest.mark.parametrize(
    "start", ["import os; os._exit(9)", 'import sys; next(sys.stdin.buffer); print(\'{"error": "no memory"}\')']
)
def test_a_worker_that_fails_is_told_and_leaves_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    build(corpus, tmp_path / "i", monkeypatch, 1)
    before = sorted(file.name for file in (tmp_path / "i").iterdir())
    write_notes(corpus, {"c.md": "### New[KDD'20]\n- gnu\n"})
    number_of_workers(monkeypatch, 2)
    monkeypatch.setattr(workers, "_START", start)
    with pytest.raises(IndexFolderError, match=r"exit code 9|no memory") as told:
        build_index(corpus, tmp_path / "i", rebuild=True)
    assert "\n" not in str(told.value)
    assert sorted(file.name for file in (tmp_path / "i").iterdir()) == before
    monkeypatch.undo()
    with open_index(corpus, tmp_path / "i") as index:
        assert index.search("gnu").total == 1


def test_what_other_workers_wrote_is_removed(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number_of_workers(monkeypatch, 2)
    segments = workers.Workers.segments

    def fails(*arguments: object) -> None:
        entries = segments(*arguments)  # type: ignore[arg-type]
        assert len(entries) == 2 and len(list((tmp_path / "i").glob("*.inv"))) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(workers.Workers, "segments", fails)
    with pytest.raises(KeyboardInterrupt):
        build_index(corpus, tmp_path / "i")
    assert [file.name for file in (tmp_path / "i").iterdir()] == ["lock"]


def test_workers_are_started_before_notes_are_read_and_ended_if_they_are_not_needed(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[workers.Workers] = []
    start = workers.Workers.__init__
    monkeypatch.setattr(workers.Workers, "__init__", lambda self, *given: start(self, *given) or started.append(self))
    monkeypatch.setattr("papersearch.index.workers.PAPER_BYTES", 1)
    build_index(corpus, tmp_path / "i")
    assert len(started) == (1 if workers.workers_for(10**6) > 1 else 0)
    with open_snapshot(tmp_path / "i") as snapshot:
        assert len(snapshot.segments()) == 1 and snapshot.doc_count == 300
    monkeypatch.setattr(workers, "shares", None)
    monkeypatch.setattr("papersearch.digest.read_corpus", lambda roots, **options: sys.exit(3))
    with pytest.raises(SystemExit):
        build_index(corpus, tmp_path / "i", rebuild=True)
    assert all(worker.process.returncode is not None for all_of_them in started for worker in all_of_them._workers)


def test_a_worker_whose_builder_dies_writes_nothing(tmp_path: Path) -> None:
    paper = Paper("0123abcd", "T", "a.md", 1, 2, sections=(Section("a.md", 2, "- words"),))
    lines = workers._line({"folder": str(tmp_path), "words": []})
    lines += workers._line([paper.stored(), "a.md", 1, 2])
    command = [sys.executable, "-c", workers._START, workers.json.dumps(sys.path)]
    done = subprocess.run(command, input=lines, capture_output=True, check=False)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, b"", [])


def test_a_worker_whose_builder_died_meanwhile_removes_what_it_wrote(tmp_path: Path) -> None:
    paper = Paper("0123abcd", "T", "a.md", 1, 2, sections=(Section("a.md", 2, "- words"),))
    told = [{"folder": str(tmp_path), "words": []}, [paper.stored(), "a.md", 1, 2], None]
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", workers._START, workers.json.dumps(sys.path)]
    subprocess.run(command, input=b"".join(map(workers._line, told)), stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def not_joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index folder of what two processes wrote."""
    folder = tmp_path_factory.mktemp("pieces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)
        patch.setattr(codec, "LARGEST_JOINED", 0)
        patch.setattr(codec, "MERGE_ALL_BELOW", 0)
        build(write_corpus(folder / "c"), folder / "i", patch, 2)
    return folder / "i"


@pytest.fixture
def pieces(not_joined: Path, tmp_path: Path) -> list[Segment]:
    """Its segments, in a folder `i` of the test's own."""
    shutil.copytree(not_joined, tmp_path / "i")
    segments = [Segment(str(tmp_path / "i"), entry) for entry in read_toc(str(tmp_path / "i")).segments]
    assert len(segments) == 2
    return segments


DIES = "import os; os._exit(9)"
CUT = "import sys; next(sys.stdin.buffer); print('[{', end='')"
FAILS = 'import sys, json; json.loads(next(sys.stdin.buffer)); print(\'{"error": "no memory"}\')'
HALF = (
    "import sys, json; head = json.loads(next(sys.stdin.buffer));"
    "open(f\"{head['folder']}/{head['into']}.doc\", 'wb').write(b'half'); print('null')"
)


@pytest.mark.parametrize("start", [None, DIES, CUT, FAILS, HALF])
def test_documents_are_merged_by_a_process_of_their_own_or_without_it(
    pieces: list[Segment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str | None
) -> None:
    name, entries = "1" * 16, [segment.entry for segment in pieces]
    (tmp_path / "here").mkdir()
    alone = merge_segments(str(tmp_path / "here"), pieces, name)
    if start is not None:
        monkeypatch.setattr(workers, "_START", start)
    asked: list[object] = []
    with workers.DocumentsMerge(str(tmp_path / "i"), entries, name) as documents:
        entry = merge_segments(str(tmp_path / "i"), pieces, name, lambda: asked.append(documents()) or asked[0])
    assert (asked[0] is None) == (start is not None)
    assert workers._told(entry) == workers._told(alone) and entry.deleted == frozenset()
    for file in entry.file_names():
        assert (tmp_path / "i" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()


def test_no_process_to_merge_documents_is_none(
    pieces: list[Segment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(workers.subprocess, "Popen", fails)
    with workers.DocumentsMerge(str(tmp_path / "i"), [segment.entry for segment in pieces], "1" * 16) as documents:
        assert documents() is None


def test_merged_documents_that_nobody_waits_for_are_removed(pieces: list[Segment], tmp_path: Path) -> None:
    before = sorted((tmp_path / "i").iterdir())
    told = [workers._told(segment.entry) for segment in pieces]
    read, write = os.pipe()
    os.close(read)
    head = workers._line({"folder": str(tmp_path / "i"), "merge": told, "into": "1" * 16})
    command = [sys.executable, "-c", workers._START, workers.json.dumps(sys.path)]
    done = subprocess.run(command, input=head, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == 1 and sorted((tmp_path / "i").iterdir()) == before


@pytest.mark.parametrize("way", ["-c", "script", "stdin"])
def test_programs_without_a_main_module_of_their_own(corpus: Path, tmp_path: Path, way: str) -> None:
    program = (
        "import papersearch.index.workers as workers\n"
        "import papersearch.index.codec as codec\n"
        "workers.workers_for = lambda papers: 2\n"
        "codec.LARGEST_JOINED = 0\n"
        "from papersearch.api import build_index\n"
        f"print(len(build_index({str(corpus)!r}, {str(tmp_path / 'i')!r}).added))\n"
    )
    (tmp_path / "p.py").write_text(program, encoding="utf-8")
    arguments = {"-c": ["-c", program], "script": [str(tmp_path / "p.py")], "stdin": ["-"]}[way]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, *arguments], input=program.encode(), capture_output=True, check=False, env=environment
    )
    assert (done.stdout.strip(), done.stderr) == (b"300", b"")
    with open_snapshot(tmp_path / "i") as snapshot:
        assert len(snapshot.segments()) == 2


def test_few_papers_or_no_interpreter_are_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers.workers_for(workers.PARALLEL_FROM - 1) == 1
    assert 1 <= workers.workers_for(10**6) <= workers.MOST_WORKERS
    monkeypatch.setattr(sys, "executable", "")
    assert workers.workers_for(10**6) == 1


def test_shares_keep_the_order_and_weigh_about_the_same() -> None:
    papers = [Paper(str(n), "T" * (n * 7 % 400), "a.md", n, n) for n in range(100)]
    for count in (1, 2, 3, 8, 99, 200):
        cut = workers.shares(papers, count)
        assert [paper for share in cut for paper in share] == papers
        assert len(cut) <= count and all(cut)
    sizes = [sum(len(paper.title) + 200 for paper in share) for share in workers.shares(papers, 4)]
    assert max(sizes) < 1.2 * min(sizes)
