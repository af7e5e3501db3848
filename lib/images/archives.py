"""The files of a folder, a zip or a tar: their names, and the content of one at a time.

Nothing is unpacked to disk. A header is believed only as far as the limits in `members` and `tars`, so a small archive cannot
take much memory.
"""

import bz2
import gzip
import lzma
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from lib.images.members import ArchiveError, Member, count_checked, damage_told, place
from lib.images.quoting import quoted
from lib.images.tars import list_tar

COMPRESSED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
USTAR = slice(257, 262)  # where a tar's first header says so
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others cannot be unpacked up to a limit
ENTRY = b"PK\1\2"  # begins each entry of a zip's list
LOCKED = 1  # the bit of a zip's flags for a password


@contextmanager
def opened(source: Path) -> Iterator[dict[str, Member]]:
    """The files of a source by name, readable inside the block.

    Raises DamagedError for an archive that is not whole, ArchiveError for one that cannot be used.
    """
    with ExitStack() as stack:
        with damage_told(quoted(source)):
            found = _listed(source, stack)
        yield found


def _listed(source: Path, stack: ExitStack) -> dict[str, Member]:
    if source.is_dir():
        return _folder(source)
    file = stack.enter_context(source.open("rb"))
    start = file.read(512)
    file.seek(0)
    for mark, unpack in COMPRESSED.items():
        if start.startswith(mark):
            return list_tar(stack.enter_context(unpack(file)), source)
    if start[USTAR] != b"ustar" and zipfile.is_zipfile(file):  # a tar may hold a zip
        return _zip(stack.enter_context(zipfile.ZipFile(file)), source)
    file.seek(0)
    return list_tar(file, source)


def _folder(source: Path) -> dict[str, Member]:
    found: dict[str, Member] = {}
    for name, path in walked(source):
        size = path.stat().st_size if path.is_file() else 0
        found[name] = Member(size, len(found), path.read_bytes)
    return found


def walked(source: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder and of those in it: their names below it, and where they are. Raises ArchiveError for too many."""
    count = 0
    for top, folders, files in os.walk(source, followlinks=True, onerror=_raise):
        above = (Path(top).resolve(), *Path(top).resolve().parents)
        folders[:] = sorted(name for name in folders if Path(top, name).resolve() not in above)  # a link may go in circles
        for path in (Path(top, name) for name in sorted(files)):
            if path.is_file() or not path.exists():  # a link to nothing is told when it is read
                count += 1
                yield path.relative_to(source).as_posix(), path
        count_checked(count, source)


def _raise(error: OSError) -> None:
    raise error


def _zip(archive: zipfile.ZipFile, source: Path) -> dict[str, Member]:
    count_checked(len(archive.infolist()), source)
    infos = {info.filename: info for info in archive.infolist()}
    for info in infos.values():
        _check(archive, info, source)
    return {
        name: Member(info.file_size, info.header_offset, partial(_unpack, archive, info))
        for name, info in infos.items()
        if not info.is_dir()
    }


def _check(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Path) -> None:
    """A zip's list has no checksum. Opening compares each name with the one at the file, so that none is lost."""
    if info.flag_bits & LOCKED or info.compress_type not in METHODS:
        msg = f"{place(source, info.filename)} cannot be unpacked; make the zip again, without a password, with deflate"
        raise ArchiveError(msg)
    if ENTRY in info.extra + info.comment:
        msg = f"the entry of {quoted(info.filename)} holds the next one"
        raise zipfile.BadZipFile(msg)
    archive.open(info).close()


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        content = file.read(info.file_size)  # not more, whatever is packed there; the checksum is compared at its end
    if len(content) < info.file_size:
        msg = f"only {len(content)} of {info.file_size} bytes are there"
        raise zipfile.BadZipFile(msg)
    return content
