"""The write lock of an index folder. The system releases it when its holder dies, however that happens."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from datetime import datetime, timezone

from papersearch.errors import IndexBusyError, IndexFolderError, IndexReadOnlyError
from papersearch.index.origin import ORIGIN_NAME
from papersearch.index.toc import LOCK_NAME, PREVIOUS_NAME, TEMPORARY_NAME, TOC_NAME, make_way

_POLL_S = 0.05
_START = b'{"pid":'
_LONGEST = 128
"""Bytes that a holder writes at most."""
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 20  # beyond the text that names the holder, which others must be able to read

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        return True


def folder_error(folder: str, error: OSError) -> IndexFolderError:
    """The error to raise in the place of one from the system while the folder was being written."""
    reason = error.strerror or str(error)
    if error.errno in _NO_FOLDER:
        return IndexFolderError(f"the index folder {folder} is no folder; choose another with --index")
    if error.errno in _READ_ONLY:
        return IndexReadOnlyError(
            f"the index folder {folder} cannot be written ({reason}); choose another with --index"
        )
    return IndexFolderError(
        f"the index folder {folder} could not be written ({reason}); its last finished index is in place"
    )


class WriteLock:
    """The lock, taken on creation.

    Args:
        folder: the index folder; it is created.
        timeout_s: seconds to wait for another holder.

    Raises:
        IndexBusyError: someone else held it all the time; says who, and since when.
        IndexReadOnlyError: the folder cannot be written.
        IndexFolderError: the folder cannot be used for another reason.
    """

    def __init__(self, folder: str, timeout_s: float) -> None:
        path = os.path.join(folder, LOCK_NAME)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            os.makedirs(folder, exist_ok=True)
            # Before anything is written there: a folder in which somebody else has a folder of such a name is theirs.
            make_way(folder, LOCK_NAME, ORIGIN_NAME, TOC_NAME, PREVIOUS_NAME, TEMPORARY_NAME)
            try:
                self._descriptor = os.open(path, flags, 0o666)
            except PermissionError:
                if not os.access(folder, os.W_OK) or not os.path.isfile(path):
                    raise
                os.chmod(path, 0o644)  # somebody took the rights from it; only its owner can give them back
                self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise folder_error(folder, error) from None
        deadline = time.monotonic() + timeout_s
        try:
            while not _try_lock(self._descriptor):
                if time.monotonic() >= deadline:
                    raise IndexBusyError(f"{folder} is being written by {self._holder()}; try again when it is done")
                time.sleep(_POLL_S)
            if not self._is_ours():
                raise IndexFolderError(f"{path} was not written by papersearch; choose another folder with --index")
            since = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._write(_START + b'%d,"since":"%s"}' % (os.getpid(), since.encode()))
        except OSError as error:
            os.close(self._descriptor)
            raise folder_error(folder, error) from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def _write(self, data: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, data)

    def _is_ours(self) -> bool:
        # A holder that was killed may have left any part of what it writes; a power failure zeros, or a wrong byte
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        content = os.read(self._descriptor, _LONGEST + 1)
        wrong = sum(one != other for one, other in zip(content, _START, strict=False))
        zeroed = len(content) <= _LONGEST and b"\0" in content
        regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        return regular and (zeroed or wrong == 0 or (wrong == 1 and len(content) >= len(_START)))

    def _holder(self) -> str:
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            holder = json.loads(os.read(self._descriptor, 1024))
            return f"process {int(holder['pid'])} since {datetime.fromisoformat(holder['since']).isoformat()}"
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return "another process"  # it has the lock but has not yet said who it is

    def release(self) -> None:
        """Give the lock back. The file stays: deleting it would let two holders lock two files of one name."""
        try:
            self._write(b"")
        except OSError:
            pass  # the lock is what the system holds, not what the file says
        finally:
            os.close(self._descriptor)
