"""A disk that fails on demand: kills, full disks and power cuts at any file operation of a process.

A child process installs a Disk over the functions that change files (`os.open`, `os.replace`, …, and whatever `open()`
returns). It counts what is done inside one folder, and does at the operation that was asked for what its fault says.
Meanwhile it keeps account of what a power failure could still take away: contents and names that were not yet synced.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

KILLED = 137
KINDS = ("missing", "empty", "half", "zeroed", "flipped", "old")
"""What a power failure makes of a file that was not synced."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CREATES = frozenset({"open", "write", "replace", "fsync", "mkdir"})
"""Operations that need room on the disk; removing and shortening always succeed there."""


class Fault(NamedTuple):
    """What happens at the operation number `at`, counted from 0."""

    at: int
    code: int = 0
    """errno of the error to raise; 0: the process dies."""
    torn: bool = False
    """A write is done by half before the process dies."""
    stays: bool = False
    """All operations after it fail too."""


class Unsynced(NamedTuple):
    """What a power failure may undo or garble."""

    contents: dict[str, bytes | None]
    """Files whose bytes were not synced → the bytes they had before, None if they are new."""
    names: dict[str, bytes | None]
    """Names whose change (creation, renaming, removal) was not synced → the bytes under them before."""


class Disk:
    """Watches one folder. install() replaces functions of this process: for child processes only."""

    def __init__(self, folder: Path, fault: Fault | None = None, report: Path | None = None) -> None:
        self.folder = os.path.abspath(folder)
        self.fault = fault
        self.report = report
        self.count = 0
        self.log: list[str] = []
        self._paths: dict[int, str] = {}
        self._contents: dict[str, bytes | None] = {}
        self._names: dict[str, bytes | None] = {}
        self._real_open = builtins.open
        self._real = {
            name: getattr(os, name)
            for name in (
                "open",
                "write",
                "close",
                "replace",
                "rename",
                "fsync",
                "unlink",
                "remove",
                "ftruncate",
                "mkdir",
            )
        }

    # -- what is counted

    def _inside(self, path: Any) -> str | None:
        if isinstance(path, int):
            return self._paths.get(path)
        found = os.path.abspath(os.fsdecode(path))
        return found if found == self.folder or os.path.dirname(found) == self.folder else None

    def _step(self, kind: str, path: str, torn: Callable[[], object] | None = None) -> None:
        at, self.count = self.count, self.count + 1
        self.log.append(f"{kind} {os.path.basename(path)}")
        fault = self.fault
        if fault is None or (at != fault.at and not (fault.stays and at > fault.at)):
            return
        if fault.code:
            if at == fault.at or kind in _CREATES:
                raise OSError(fault.code, os.strerror(fault.code), path)
            return
        if fault.torn and torn is not None:
            torn()
        self.die()

    def die(self) -> None:
        if self.report is not None:
            state = [
                {name: None if data is None else data.hex() for name, data in part.items()}
                for part in (self._contents, self._names)
            ]
            with self._real_open(self.report, "w", encoding="utf-8", opener=self._real["open"]) as file:
                json.dump(state, file)
        os._exit(KILLED)

    def _bytes(self, path: str) -> bytes | None:
        try:
            with self._real_open(path, "rb") as file:
                data: bytes = file.read()
                return data
        except OSError:
            return None

    def _before_writing(self, path: str) -> None:
        if path not in self._contents:
            self._contents[path] = self._bytes(path)

    # -- the functions

    def install(self) -> None:
        """Replace the functions of this process."""
        for name in self._real:
            setattr(os, name, getattr(self, name, None) or self.unlink)
        os.rename = self.replace
        builtins.open = io.open = self.open_file  # type: ignore[assignment]

    def open(self, path: Any, flags: int, *rest: Any, **options: Any) -> int:
        place = self._inside(path)
        if place is None or not flags & _WRITING:
            descriptor: int = self._real["open"](path, flags, *rest, **options)
        else:
            self._step("open", place)
            if not os.path.lexists(place):
                self._names.setdefault(place, None)
            self._before_writing(place)
            descriptor = self._real["open"](path, flags, *rest, **options)
        self._remember(descriptor, place)
        return descriptor

    def _remember(self, descriptor: int, place: str | None) -> None:
        if place is not None:
            self._paths[descriptor] = place
        else:
            self._paths.pop(descriptor, None)

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        self._real["close"](descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        place = self._inside(descriptor)
        if place is not None:
            self._step("write", place, lambda: self._real["write"](descriptor, bytes(data)[: len(data) // 2]))
        written: int = self._real["write"](descriptor, data)
        return written

    def ftruncate(self, descriptor: int, length: int) -> None:
        place = self._inside(descriptor)
        if place is not None:
            self._step("ftruncate", place)
        self._real["ftruncate"](descriptor, length)

    def fsync(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        place = self._inside(number)
        if place is None:
            return
        self._step("fsync", place)
        if place == self.folder:
            self._names.clear()
        else:
            self._contents.pop(place, None)

    def replace(self, source: Any, target: Any) -> None:
        place, origin = self._inside(target), self._inside(source)
        if place is not None and origin is not None:
            self._step("replace", place)
            self._names.setdefault(place, self._bytes(place))
            self._names.pop(origin, None)
            self._contents.pop(place, None)
            if origin in self._contents:
                self._contents[place] = self._contents.pop(origin)
        self._real["replace"](source, target)

    def unlink(self, path: Any, **options: Any) -> None:
        place = self._inside(path)
        if place is not None:
            self._step("unlink", place)
            data = self._bytes(place)
            self._names.setdefault(place, self._contents.pop(place, data))
        self._real["unlink"](path, **options)

    def mkdir(self, path: Any, *rest: Any, **options: Any) -> None:
        place = self._inside(path)
        if place is not None:
            self._step("mkdir", place)
        self._real["mkdir"](path, *rest, **options)

    def open_file(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        place = None if isinstance(file, int) else self._inside(file)
        if place is None or not set(mode) & set("wxa+"):
            opened = self._real_open(file, mode, buffering, *rest, **options)
            self._remember(opened.fileno(), place)
            return opened
        self._step("open", place)
        if not os.path.lexists(place):
            self._names.setdefault(place, None)
        if "+" not in mode or "w" in mode:
            self._before_writing(place)
        raw = _Raw(self, place, mode.replace("b", "").replace("t", ""))
        self._remember(raw.fileno(), place)
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **options)


class _Raw(io.FileIO):
    def __init__(self, disk: Disk, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._disk, self._path = disk, path

    def write(self, data: Any) -> int:
        whole = bytes(data)
        self._disk._step("write", self._path, lambda: super(_Raw, self).write(whole[: len(whole) // 2]))
        self._disk._before_writing(self._path)
        return super().write(whole)


def in_child(work: Callable[[], object]) -> int:
    """Run in a child process that ends without any clean-up; its exit code: 0, 1 for an exception, KILLED."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def steps_of(folder: Path, work: Callable[[], object], report: Path) -> list[str]:
    """The file operations of `work` inside the folder, in order."""

    def watched() -> None:
        disk = Disk(folder)
        disk.install()
        work()
        with disk._real_open(report, "w", encoding="utf-8") as file:
            json.dump(disk.log, file)

    assert in_child(watched) == 0
    steps: list[str] = json.loads(report.read_text(encoding="utf-8"))
    return steps


def struck(folder: Path, fault: Fault, work: Callable[[], object], report: Path | None = None) -> int:
    """Run `work` in a child whose disk has the fault; its exit code. With a report it dies at the end at the latest."""

    def watched() -> None:
        disk = Disk(folder, fault, report)
        disk.install()
        work()
        if report is not None:
            disk.die()

    return in_child(watched)


def unsynced(report: Path) -> Unsynced:
    """What the process that wrote the report as it died had not synced."""
    contents, names = (
        {name: None if data is None else bytes.fromhex(data) for name, data in part.items()}
        for part in json.loads(report.read_text(encoding="utf-8"))
    )
    return Unsynced(contents, names)


def garble(data: bytes, kind: str, rng: random.Random) -> bytes:
    """The bytes as damage of that kind leaves them."""
    if kind == "empty" or not data:
        return b""
    if kind == "half":
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    if kind == "zeroed":
        start = rng.randrange(len(data))
        end = min(len(data), start + rng.choice((1, 64, 512, 4096, len(data))))
        changed[start:end] = bytes(end - start)
    else:
        assert kind == "flipped", kind
        for _ in range(min(rng.choice((1, 1, 1, 4, 64)), len(data) // 64 + 1)):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def lose_power(left: Unsynced, kind: str, rng: random.Random) -> int:
    """Make of the files what a power failure may; how many were changed."""
    changed = 0
    for name, before in left.names.items():  # either change of a name came to the disk or it did not
        if kind == "old" or (rng.random() < 0.5 and name not in left.contents):
            changed += _put_back(name, before)
    for name, before in left.contents.items():
        if not os.path.exists(name):
            continue
        if kind in ("missing", "old"):
            changed += _put_back(name, before if kind == "old" else None)
        else:
            path = Path(name)
            path.write_bytes(garble(path.read_bytes(), kind, rng))
            changed += 1
    return changed


def _put_back(name: str, data: bytes | None) -> int:
    if data is not None:
        Path(name).write_bytes(data)
    elif os.path.exists(name):
        os.unlink(name)
    else:
        return 0
    return 1
