"""Indexes that were not built here: cloned, copied, unpacked, forged, somebody else's. Opening one runs nothing."""

from __future__ import annotations

import json
import marshal
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from papersearch import open_index
from papersearch.api import index_status
from papersearch.completions import offers
from papersearch.errors import IndexDamagedError, IndexReadOnlyError
from papersearch.index.origin import ORIGIN_NAME, is_foreign, stamp
from torture.scene import answers, built, environment, program, put, right

Count = Callable[[str, str, int], None]


@pytest.fixture(autouse=True)
def _indexes_have_an_origin(real_origin: None) -> None:
    """Elsewhere in this folder copies of an index count as built here."""


def copied(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=shutil.copy2)


def unpacked(source: Path, target: Path) -> None:
    archive = target.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(source, arcname=target.name)
    with tarfile.open(archive) as tar:
        tar.extractall(target.parent, filter="tar") if hasattr(tarfile, "tar_filter") else tar.extractall(target.parent)


def cloned(source: Path, target: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git")
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    repository = target.with_suffix(".git")
    shutil.copytree(source, repository / "index")
    for arguments in (["init", "-q"], ["add", "-f", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run([git, *arguments], cwd=repository, check=True, capture_output=True)
    subprocess.run(
        [git, "clone", "-q", str(repository), str(target.with_suffix(".clone"))], check=True, capture_output=True
    )
    (target.with_suffix(".clone") / "index").rename(target)


@pytest.mark.parametrize("way", [copied, unpacked, cloned])
def test_an_index_that_came_from_elsewhere_is_built_anew(place: Path, way: Callable[[Path, Path], None], tally: Count) -> None:  # fmt: skip
    corpus, folder = built(place / "start")
    target = place / "elsewhere"
    way(folder, target)
    assert index_status(corpus, target).stale
    with pytest.raises(IndexDamagedError, match="elsewhere"):
        open_index(corpus, target, refresh=False)
    with open_index(corpus, target) as index:
        assert answers(index) == right(0)
        assert [notice for notice in index.notices if "built elsewhere; it was built anew" in notice]
    with open_index(corpus, target) as index:
        assert index.notices == ()
    tally("foreign", "foreign indexes", 1)


def test_a_forged_answer_is_never_shown(place: Path, tally: Count) -> None:
    """The notes of another corpus under the names of this one, every checksum right."""
    _, forged = built(place / "forged", 1)
    corpus = put(place / "corpus", 0)
    for name in ("n0.md", "n1.md"):
        shutil.copystat(place / "forged" / "corpus" / name, corpus / name)
    copied(forged, place / "index")
    with open_index(corpus, place / "index") as index:
        assert answers(index) == right(0)
    tally("foreign", "foreign indexes", 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser may give files away")
def test_an_index_of_another_user_is_built_anew(place: Path, tally: Count) -> None:
    corpus, folder = built(place / "start")
    os.chown(folder / ORIGIN_NAME, 12345, 12345)
    with open_index(corpus, folder) as index:
        assert answers(index) == right(0) and len(index.notices) == 1
    with open_index(corpus, folder) as index:
        assert index.notices == ()
    tally("foreign", "foreign indexes", 1)


def test_an_index_that_was_moved_is_still_ours(place: Path) -> None:
    corpus, folder = built(place / "start")
    folder.rename(place / "moved")
    with open_index(corpus, place / "moved", refresh=False) as index:
        assert answers(index) == right(0)


@pytest.mark.parametrize("refresh", [True, False])
def test_a_foreign_index_that_cannot_be_written_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch, refresh: bool, tally: Count) -> None:  # fmt: skip
    """It may have been forged: its checksums prove nothing."""
    corpus, folder = built(place / "start")
    copied(folder, place / "copy")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(IndexReadOnlyError, match=r"built elsewhere, and its folder cannot be written.*--index") as told:
        open_index(corpus, place / "copy", refresh=refresh)
    assert "\n" not in str(told.value)
    assert index_status(corpus, place / "copy").stale
    assert offers("category", "", [str(corpus)], str(folder)) == [("Kind", "")]
    assert offers("category", "", [str(corpus)], str(place / "copy")) == []
    tally("foreign", "foreign indexes", 1)


def test_an_index_of_ours_that_was_made_read_only_answers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, folder = built(place)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path == folder else 0o444)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        for refresh in (True, False):
            with open_index(corpus, folder, refresh=refresh) as index:
                assert answers(index) == right(0) and not index.notices
        folder.chmod(0o755)
        os.replace(shutil.copy2(next(folder.glob("*.inv")), place), next(folder.glob("*.inv")))
        with pytest.raises(IndexReadOnlyError):
            open_index(corpus, folder)
    with open_index(corpus, folder) as index:
        assert answers(index) == right(0)


def test_an_origin_that_is_no_file_is_replaced(place: Path) -> None:
    precious = place / "precious"
    precious.write_text("mine")
    (place / ORIGIN_NAME).symlink_to(precious)
    assert is_foreign(str(place), stamp_of := precious.stat().st_ctime_ns, {})
    assert not is_foreign(str(place), stamp(str(place)), {}) and is_foreign(str(place), stamp_of, {})
    assert precious.read_text() == "mine" and not (place / ORIGIN_NAME).is_symlink()


class _Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def payloads(canary: Path) -> dict[str, bytes]:
    """Bytes that do harm wherever they are unpickled, evaluated or believed."""
    code = f"__import__('os').system('touch {canary}')"
    forged = b'","format":2,"generation":1,"segments":[{"id":"%s","documents":99999999999,"deleted":[],"lengths":{},"files":{"doc":{"size":9999999999999,"crc32":0},"inv":{"size":1,"crc32":0}}}],"meta":{}}'  # fmt: skip
    return {
        "pickle": pickle.dumps(_Payload(canary)),
        "marshal": marshal.dumps(compile(code, "x", "exec")),
        "code": code.encode(),
        "json": json.dumps({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [f"touch {canary}"]}]}).encode(),
        "nested": b"[" * 100_000,
        "number": b"9" * 10_000,
        "sizes": b'{"crc32":"%08x' % zlib.crc32(forged) + forged,
        "path": forged.replace(b"%s", b"../../../../etc/passwd"),
    }


CANARY = """
import sys
from papersearch import PapersearchError, glossary, open_index
from papersearch.index import origin
from papersearch.index.verify import verify
glossary.sources = lambda: [sys.argv[1]]
origin.is_foreign = lambda *_: False
for folder in sys.argv[3:]:
    verify(folder)
    try:
        with open_index(sys.argv[2], folder, refresh=False) as index:
            index.search("shared words")
    except PapersearchError as error:
        assert "\\n" not in str(error)
"""


def test_opening_runs_nothing(place: Path, small_glossary: Path, tally: Count) -> None:
    """Payloads in every file, and in files beside them that some library might read, with the look at origins off."""
    corpus, folder = built(place / "start")
    canary, temporary = place / "canary", place / "tmp"
    temporary.mkdir()
    names = [*sorted(path.name for path in folder.iterdir()), "_MAIN_1.toc", "_MAIN_WRITELOCK", "sitecustomize.py"]
    forged = []
    for kind, data in payloads(canary).items():
        (temporary / "jieba.cache").write_bytes(data)
        for name in names:
            target = place / f"{kind}-{name}"
            shutil.copytree(folder, target)
            (target / name).write_bytes(data)
            forged.append(str(target))
    command = [sys.executable, "-c", CANARY, str(small_glossary), str(corpus), *forged]
    done = subprocess.run(command, env=environment(TMPDIR=str(temporary)), cwd=place, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not canary.exists()
    tally("foreign", "payloads", len(forged))


def test_a_poisoned_cache_of_jieba_is_not_read(place: Path, small_glossary: Path, tally: Count) -> None:
    """The library reads jieba.cache from the shared temp folder, whoever wrote it; we do not, and we print nothing."""
    corpus, temporary, canary = put(place / "corpus", 0), place / "tmp", place / "canary"
    temporary.mkdir()
    (temporary / "jieba.cache").write_bytes(marshal.dumps(({"检": 10**9, "测": 10**9}, 1)))
    command = [*program(small_glossary), "index", str(corpus), "--index", str(place / "index")]
    done = subprocess.run(command, env=environment(TMPDIR=str(temporary)), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in temporary.iterdir()} == {"jieba.cache"} and not canary.exists()
    with open_index(corpus, place / "index", refresh=False) as index:
        assert answers(index)["检测"] == right(0)["检测"]
    tally("foreign", "poisoned caches", 1)
