"""What a caller may catch. Every message says what happened, where, and what to do next, in one line."""

from __future__ import annotations


class PapersearchError(Exception):
    """Base of all errors this package raises on purpose."""


class UsageError(PapersearchError):
    """An argument is wrong: an unknown field, a year that is no year, an id that names no paper."""


class CorpusError(PapersearchError):
    """The corpus cannot be read: missing, empty, or not Markdown."""


class IndexFolderError(PapersearchError):
    """Base of what can be wrong with an index folder."""


class IndexMissingError(IndexFolderError):
    """The folder holds no index yet."""


class IndexDamagedError(IndexFolderError):
    """The index cannot be trusted: a file is missing, short, of another version, or fails its checksum."""


class IndexBusyError(IndexFolderError):
    """Another process holds the write lock."""


class IndexReadOnlyError(IndexFolderError):
    """The index folder cannot be written."""
