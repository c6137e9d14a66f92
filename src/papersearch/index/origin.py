"""Whether an index folder was built where it lies, by somebody whose files are trusted here.

Checksums tell damage, not malice: whoever makes an index can make its checksums fit. So every index has an empty file
`origin`, and remembers when the system last changed that file's inode (`st_ctime_ns`). Nobody can choose that time:
a clone, a copy or an unpacked archive has another one, and is built anew. The owner has to be the user, or root.

Moving a folder within its file system keeps the time; restoring a backup does not, and costs one build. Taking away
the right to write it changes the time too, and then nothing can be built: such an index is known by the numbers of its
files' inodes, which the system chooses as well.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from papersearch.index.flatfile import Stamp

ORIGIN_NAME = "origin"


def stamp(folder: str) -> int:
    """What an index built in this folder now remembers; the file is made where there is none. Raises OSError."""
    path = os.path.join(folder, ORIGIN_NAME)
    try:
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and _is_trusted(found):
            return found.st_ctime_ns
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return os.lstat(path).st_ctime_ns


def is_foreign(folder: str, stamped: object, files: Mapping[str, Stamp | None]) -> bool:
    """Whether the index that remembers `stamped` was built elsewhere or by somebody else. `files`: names of those that
    it is made of, and what they were like when they had been written."""
    try:
        found = os.lstat(os.path.join(folder, ORIGIN_NAME))
    except OSError:
        return True
    if not (stat.S_ISREG(found.st_mode) and _is_trusted(found)):
        return True
    return found.st_ctime_ns != stamped and (os.access(folder, os.W_OK) or not _are_where_they_were(folder, files))


def _are_where_they_were(folder: str, files: Mapping[str, Stamp | None]) -> bool:
    try:
        now = {name: os.lstat(os.path.join(folder, name)) for name in files}
    except OSError:
        return False
    return bool(now) and all(
        _is_trusted(found) and stamp is not None and (found.st_mtime_ns, found.st_ino) == (stamp[0], stamp[2])
        for (name, found) in now.items()
        for stamp in (files[name],)
    )


def _is_trusted(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid in (0, os.geteuid())
