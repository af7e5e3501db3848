"""One file of a folder or an archive, the limits that hold for it, and how damage is told."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.images.quoting import quoted

FILES = 1_500_000
FILE_BYTES = 64 << 20  # of one file, unpacked
BROKEN_CURE = "the archive is truncated or damaged: get it again"
# What the readers of the standard library raise for headers and streams that are not whole.
BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArchiveError(ValueError):
    """An archive or folder that cannot be used as it is."""


class DamagedError(ArchiveError):
    """An archive that is not whole: another copy of it may be."""


@dataclass(frozen=True)
class Member:
    """A file: its size in bytes as told, unpacked; its place in the archive, to read in order; and how to get its content."""

    size: int
    place: int
    unpack: Callable[[], bytes]


def content(name: str, member: Member, source: Path) -> bytes:
    """The content of a member. Raises ArchiveError for one too large, before it is read, DamagedError for a broken one."""
    if member.size > FILE_BYTES:
        msg = f"{place(source, name)} has {member.size} bytes unpacked, more than {FILE_BYTES}; remove it or make it smaller"
        raise ArchiveError(msg)
    with damage_told(place(source, name)):
        return member.unpack()


def place(source: Path, name: str) -> str:
    """The name of a member for messages."""
    return f"{quoted(source)}: {quoted(name)}"


def count_checked(count: int, source: Path) -> None:
    """Raise ArchiveError where a source has too many files."""
    if count > FILES:
        msg = f"{quoted(source)} has more than {FILES} files; take fewer images"
        raise ArchiveError(msg)


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Turn what readers raise for a broken archive into DamagedError, and what the system refuses into ArchiveError."""
    try:
        yield
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno is None:  # gzip's and bz2's own
            msg = f"{what}: {quoted(error)}; {BROKEN_CURE}"
            raise DamagedError(msg) from error
        msg = f"{what} cannot be read ({error.strerror}); mend that or give another data.source"
        raise ArchiveError(msg) from error
    except BROKEN as error:
        msg = f"{what}: {quoted(error)}; {BROKEN_CURE}"
        raise DamagedError(msg) from error
