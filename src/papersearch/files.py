"""Notes on disk: which files there are, their bytes, their encoding, whether they changed. Knows no Markdown."""

from __future__ import annotations

import os
import stat
import time
from zlib import crc32

from papersearch.errors import CorpusError
from papersearch.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Path = str | os.PathLike[str]
    Stat = tuple[str, int, int, int]
    """Path, size, and times in ns at which content and inode were changed."""

SUFFIXES = (".md", ".markdown")
TERMS_NAME = "terms.txt"
"""The user's own terms, in the corpus folder; not a note, but what it says is indexed too."""
SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
LONGEST_SHOWN = 200
"""Characters of a path that an error message shows."""
RACY_NS = 50_000_000
"""A file changed this shortly before it was looked at may change again without a trace in its times (as in git)."""
PIECE_BYTES = 1 << 13
"""Fewest bytes of a piece, but for the last one of a file: a dozen papers. What is remembered of it takes some 100."""
LONGEST_PIECES = 8
"""A piece so many times as long is cut before the next line that begins with `#`, whatever it says."""
CUT_BY_BYTES, CUT_ONE_OF = 64, 8
"""Bytes of a line that say whether it may begin a piece, and one in how many does."""
DIGEST_BYTES = 16
"""Of SHA-256: a clash by accident would take 2^64 pieces."""
READ_AGAIN = 4
READ_AGAIN_AFTER_S = 0.01
"""How often, and how long after, a file is read again that was written while it was read."""


class Notice(Record):
    """Something about one place of the corpus that its owner should know; never fatal."""

    path: str
    line: int
    message: str
    kind: str = "note"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}" if self.line else f"{self.path}: {self.message}"


class FileState(Record):
    """What tells whether a note changed since it was read: its stat, then its hash (empty where it could not be)."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str

    @property
    def stat(self) -> Stat:
        """What can be known of the file without reading it."""
        return self.path, self.size, self.mtime_ns, self.ctime_ns


class Known(Record):
    """The states of many files: their stats, and their digests one after the other, zeros for one that could not be
    read."""

    stats: Sequence[Stat]
    digests: bytes

    def digest(self, number: int) -> str:
        """The digest of one file, empty where it could not be read."""
        digest = self.digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
        return digest.hex() if any(digest) else ""

    def state(self, number: int) -> FileState:
        """The state of one file."""
        path, size, mtime_ns, ctime_ns = self.stats[number]
        return FileState(path, size, mtime_ns, ctime_ns, self.digest(number))

    def unread(self) -> list[int]:
        """Numbers of the files that could not be read."""
        if bytes(DIGEST_BYTES) not in self.digests:
            return []
        return [number for number in range(len(self.stats)) if not self.digest(number)]

    def states(self) -> list[FileState]:
        """One by one."""
        return list(map(self.state, range(len(self.stats))))

    @classmethod
    def of(cls, states: Iterable[FileState]) -> Known:
        """The states put together."""
        states = list(states)
        return cls([s.stat for s in states], b"".join(bytes.fromhex(s.digest or "00" * DIGEST_BYTES) for s in states))


# ---- from disk to text


def find_notes(root: Path) -> tuple[list[str], list[Notice]]:
    """Paths of all Markdown files under a folder, relative to it and sorted; a file stands for itself.

    Regular files only: FIFOs, devices and symbolic links (which may lead out of the corpus, or in circles) are not
    followed. Hidden folders are skipped.
    """
    if os.path.isfile(root):
        return [os.path.basename(root)], []
    found: list[str] = []
    notices: list[Notice] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith(".") and entry.name not in SKIPPED_FOLDERS:
                            pending.append(path)
                    elif entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith("."):
                        if entry.is_file(follow_symlinks=False):
                            found.append(path)
                        else:
                            notices.append(Notice(path, 0, "not a regular file; skipped", "skipped"))
        except OSError as error:
            notices.append(Notice(folder or ".", 0, f"folder cannot be read ({error.strerror}); skipped", "skipped"))
    return sorted(found), notices


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file. Raises OSError; never blocks on a FIFO put in the file's place.

    A file that is written meanwhile is read again, so that nothing is half old and half new; one that does not come to
    rest cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(0, "not a regular file")
        for _ in range(READ_AGAIN + 1):
            file.seek(0)
            data = file.read()
            after = os.fstat(descriptor)
            if (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size):
                return data
            time.sleep(READ_AGAIN_AFTER_S)
            before = os.fstat(descriptor)
    raise OSError(0, "it is being written")


def decode(data: bytes) -> tuple[str, str | None]:
    """(text, what to tell the owner): UTF-8 with or without BOM, UTF-16 with BOM, GB18030 (a superset of GBK)."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), "is UTF-16, not UTF-8; read as such (save it as UTF-8)"
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        bad_at = error.start
    try:
        return data.decode("gb18030"), "is not UTF-8; read as GB18030 (GBK) (save it as UTF-8)"
    except UnicodeDecodeError:
        line = data.count(b"\n", 0, bad_at) + 1
        return data.decode("utf-8-sig", "replace"), f"is not UTF-8 (line {line}); unreadable bytes were replaced"


def root_names(roots: Sequence[Path]) -> list[str]:
    """The prefix of each root's paths: nothing for a single root, else its own name and a slash, made unique."""
    if len(roots) == 1:
        return [""]
    names: list[str] = []
    for root in roots:
        own = os.path.basename(os.path.realpath(root))
        name, n = own, 2
        while f"{name}/" in names:
            name, n = f"{own}-{n}", n + 1
        names.append(f"{name}/")
    return names


# ---- did it change


def require(root: Path) -> None:
    """Raises CorpusError, with the reason, if there is no folder or file at a corpus's root."""
    try:
        os.stat(root)
    except (OSError, ValueError) as error:
        name = os.fspath(root)
        name = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…"
        told = isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, NotADirectoryError))
        reason = f" ({os.strerror(error.errno or 0)})" if isinstance(error, OSError) and told else ""
        message = f"no corpus at {name!r}{reason}; name a folder of Markdown or one file with --corpus"
        raise CorpusError(message) from None


def scan(roots: Sequence[Path]) -> tuple[list[Stat], list[Notice]]:
    """The notes of a corpus with their stat, in reading order; nothing is read. Raises CorpusError.

    All zero is the stat of a file that the system does not let us look at.
    """
    found: list[Stat] = []
    remarks: list[Notice] = []
    for root, prefix in zip(roots, root_names(roots), strict=True):
        require(root)
        paths, notices = find_notes(root)
        is_folder = os.path.isdir(root)
        if is_folder and os.path.isfile(os.path.join(root, TERMS_NAME)):
            paths.append(TERMS_NAME)
        remarks += [Notice(prefix + n.path, n.line, n.message, n.kind) for n in notices]
        above = os.path.join(root, "") if is_folder else ""
        for path in paths:
            try:
                one = os.stat(above + path if is_folder else root)
            except FileNotFoundError:
                continue
            except OSError:
                found.append((prefix + path, 0, 0, 0))
                continue
            found.append((prefix + path, one.st_size, one.st_mtime_ns, one.st_ctime_ns))
    return found, remarks


def cut(data: bytes) -> tuple[list[int], list[bytes]]:
    """Where the pieces of a note begin, and what tells the content of each from any other.

    A piece ends before a line that begins with `#`, PIECE_BYTES after its own begin or later: before the first one
    whose bytes have a checksum that one in CUT_ONE_OF has. From an edit on pieces begin elsewhere, but as such lines
    are rare, either way soon leads to the same one, and from there on the pieces are what they were.
    """
    import hashlib  # not needed where no file has changed: kept off the path of every query

    starts, at = [0], data.find(b"\n#", PIECE_BYTES)
    while at >= 0:
        is_chosen = crc32(data[at + 1 : at + CUT_BY_BYTES]) % CUT_ONE_OF == 0
        if is_chosen or at - starts[-1] >= LONGEST_PIECES * PIECE_BYTES:
            starts.append(at + 1)
            at += PIECE_BYTES
        at = data.find(b"\n#", at + 1)
    view = memoryview(data)
    ends = [*starts[1:], len(data)]
    sha256 = hashlib.sha256
    return starts, [sha256(view[a:b]).digest()[:DIGEST_BYTES] for a, b in zip(starts, ends, strict=True)]


def digest_of(data: bytes) -> str:
    """Tells two contents of a file apart."""
    return digest_of_pieces(cut(data)[1])


def digest_of_pieces(digests: Iterable[bytes]) -> str:
    """The digest of a file that has been cut."""
    import hashlib

    return hashlib.sha256(b"".join(digests)).hexdigest()[: 2 * DIGEST_BYTES]


def changed_files(
    roots: Sequence[Path], known: Known, looked_at_ns: int, now: Sequence[Stat] | None = None
) -> list[str]:
    """Paths that were added, changed or removed since `known` was taken at `looked_at_ns` (a Unix time).

    A file whose times and size are the same is not read, unless it was changed so shortly before it was looked at
    that its times cannot tell. One that could not be read then has changed if it can be now. `now`: what scan() gave,
    if it was just called. Raises CorpusError if a root is gone.
    """
    now = scan(roots)[0] if now is None else now
    before = {path: number for number, (path, *_) in enumerate(known.stats)}
    changed = sorted(before.keys() - {path for path, *_ in now})
    settled = looked_at_ns - RACY_NS
    certain = set(known.stats).difference([known.stats[number] for number in known.unread()])
    for stat_now in now:
        path, size, mtime_ns, ctime_ns = stat_now
        if stat_now in certain and mtime_ns < settled and ctime_ns < settled:
            continue
        number = before.get(path)
        old = None if number is None else known.digest(number)
        if number is not None and (known.stats[number][1] == size or not old):
            try:
                if digest_of(read_bytes(disk_path(roots, path))) == old:
                    continue
            except OSError:
                if not old:
                    continue
        changed.append(path)
    return changed


def disk_path(roots: Sequence[Path], path: str) -> str:
    """Where a file of the corpus is on disk."""
    if len(roots) == 1:
        return os.path.join(roots[0], path) if os.path.isdir(roots[0]) else os.fspath(roots[0])
    name, _, rest = path.partition("/")
    root = dict(zip(root_names(roots), roots, strict=True))[name + "/"]
    return os.path.join(root, rest) if os.path.isdir(root) else os.fspath(root)
