"""The files of a tar: sizes and links checked while it is listed."""

import os
import posixpath
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from lib.images.members import FILE_BYTES, ArchiveError, Member, count_checked, place
from lib.images.quoting import quoted

TAR_BYTES = 64 << 30  # of the whole tar, unpacked
LINKS = 40  # from one symbolic link to the next, as many as Linux follows


class Bounded:
    """A stream that gives at most FILE_BYTES at once and TAR_BYTES in all, whatever a header asks for: zeros pack well."""

    def __init__(self, stream: BinaryIO, source: Path) -> None:
        self.stream, self.source = stream, source

    def tell(self) -> int:
        """The position in the unpacked tar."""
        return self.stream.tell()

    def seek(self, position: int) -> int:
        """Go to a position. Raises ArchiveError beyond the limit."""
        if position > TAR_BYTES:
            msg = f"{quoted(self.source)} has more than {TAR_BYTES} bytes unpacked; take fewer images"
            raise ArchiveError(msg)
        return self.stream.seek(position)

    def read(self, count: int) -> bytes:
        """Read up to so many bytes. Raises ArchiveError beyond the limit, ReadError for a count that no sound header has."""
        if not 0 <= count <= FILE_BYTES:
            msg = f"a header that asks for {count} bytes"
            raise tarfile.ReadError(msg)
        self.seek(self.tell())
        return self.stream.read(count)


def list_tar(stream: BinaryIO, source: Path) -> dict[str, Member]:
    """The regular files and what links to them, by name. Raises TarError for damage, ArchiveError for what is refused."""
    bounded = Bounded(stream, source)
    infos = list(_checked(bounded, source))
    found = {info.name: _member(bounded, info, source) for info in infos if info.isreg()}
    targets = {posixpath.normpath(name): member for name, member in found.items()}
    links = {posixpath.normpath(info.name): _target(info) for info in infos if info.islnk() or info.issym()}
    for info in infos:
        if info.islnk() or info.issym():
            found[info.name] = _followed(info.name, links, targets, source)
    return found


def _checked(bounded: Bounded, source: Path) -> Iterator[tarfile.TarInfo]:
    """Every header, in order; a header may not lead backwards, where tarfile would go round for ever."""
    last = -1
    try:
        tar = tarfile.TarFile(fileobj=bounded)  # type: ignore[arg-type]  # all that tarfile calls is there
    except tarfile.ReadError as error:
        msg = f"is no folder, zip or tar that can be read ({error})"
        raise tarfile.ReadError(msg) from error
    for count, info in enumerate(tar, 1):
        if info.offset <= last or info.size < 0:
            msg = "a header with a negative size"
            raise tarfile.ReadError(msg)
        last = info.offset
        count_checked(count, source)
        yield info
    _check_end(tar.offset, bounded)


def _check_end(offset: int, bounded: Bounded) -> None:
    """Raise ReadError unless the archive ends with its end mark and nothing follows.

    tarfile takes a tar cut between two members for whole, and one whose next header was zeroed.
    """
    bounded.seek(offset)
    if bounded.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        msg = "the end of the tar is missing"
        raise tarfile.ReadError(msg)
    while piece := bounded.read(1 << 20):  # gzip, bzip2 and xz compare their checksum at the very end
        if piece.strip(tarfile.NUL):
            msg = "there is more after the end of the tar"
            raise tarfile.ReadError(msg)


def _member(bounded: Bounded, info: tarfile.TarInfo, source: Path) -> Member:
    return Member(info.size, info.offset_data, partial(_unpack, bounded, info, source))


def _unpack(bounded: Bounded, info: tarfile.TarInfo, source: Path) -> bytes:
    if info.issparse():
        msg = f"{place(source, info.name)} is a sparse file; make the tar again without --sparse"
        raise ArchiveError(msg)
    bounded.seek(info.offset_data)
    content = bounded.read(info.size)
    if len(content) < info.size:
        msg = "unexpected end of data"
        raise tarfile.ReadError(msg)
    return content


def _target(info: tarfile.TarInfo) -> str:
    """What a link leads to: a hard link's name stands in full, a symbolic link's from its folder."""
    start = os.path.dirname(info.name) if info.issym() else ""
    return posixpath.normpath(posixpath.join(start, info.linkname))


def _followed(name: str, links: dict[str, str], targets: dict[str, Member], source: Path) -> Member:
    target = posixpath.normpath(name)
    for _ in range(LINKS):
        target = links.get(target, target)
        if target in targets:
            return targets[target]
    msg = f"{place(source, name)} is a link to {quoted(target)}, which is no file in the archive; pack the file itself"
    raise ArchiveError(msg)
