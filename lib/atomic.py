"""Files that are either whole or not there."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL, CLOSED = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def replacing(path: Path, size: int | None = None, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; on success it becomes `path` at once, on failure it goes.

    The file gets the mode that the umask allows. What a killed process left for the same path goes first. size: how many
    bytes are to come, for the message. durable: it survives a power cut, which may else leave a part of it. Raises
    ValueError, with the path and the cure, when the disk is full or the folder may not be written to.
    """
    temporary = temporary_name(path)
    try:
        mode = _begin(path, temporary)
        try:
            yield temporary
            temporary.chmod(mode)
            if durable:
                _to_disk(temporary)
            temporary.replace(path)
            if durable:
                _to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ValueError(_full(path, size)) from error


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file atomically; durable: see `replacing`. Raises ValueError when the disk is full."""
    with replacing(path, len(content), durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises ValueError when the disk is full."""
    write_bytes(path, text.encode())


def temporary_name(path: Path) -> Path:
    """Where this process writes what becomes `path`: `.<name>.<process>.tmp` beside it."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files and folders of `path` whose process is gone (or had this process's number)."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,10}})\.tmp")
    for found in list(path.parent.iterdir()):
        match = name.fullmatch(found.name)
        if match is None or _alive(int(match[1])):
            continue
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)  # another process may be removing it too
        else:
            found.unlink(missing_ok=True)


def _begin(path: Path, temporary: Path) -> int:
    """Make the temporary file; returns its mode: some writers make a file of their own that only its owner may read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path)
        temporary.touch()
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        msg = f"{path}: its folder may not be written to ({error.strerror}); make it writable or choose another path"
        raise ValueError(msg) from error
    return temporary.stat().st_mode


def _alive(process: int) -> bool:
    """Whether another process has this number."""
    if process in (0, os.getpid()):
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is there and belongs to somebody else
        return True
    return True


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's names, would survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _full(path: Path, size: int | None) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    needed = "" if size is None else f"{size:,} bytes are needed and "
    free = f"{needed}{shutil.disk_usage(folder).free:,} are free"
    return f"{path}: the disk (or your share of it) is full; {free}; make room, then run the same command again"
