"""Getting an archive or folder to this machine, whole: local paths, file:// and http(s):// URLs, checksums."""

import hashlib
import urllib.parse
from pathlib import Path

from lib.atomic import replacing
from lib.images.addresses import local_path
from lib.images.checksum import sha256_of
from lib.images.quoting import quoted
from lib.images.receiving import receive

OTHER_FILE_CURE = "it is another file or a broken copy: get it again"
NAME_LENGTH = 80  # of a kept file: a URL's may be longer than a file system allows


def fetch(source: str, sha256: str | None, cache: Path) -> Path:
    """The local path of `source`; what comes from the web is kept in `cache`, complete and checked, or not at all.

    Raises ValueError when the source does not exist, cannot be reached, arrives short or too slowly, or has another checksum.
    """
    try:
        path = local_path(source)
    except ValueError as error:
        msg = f"data.source '{quoted(source)}' {error}"
        raise ValueError(msg) from error
    if path is None:
        return _download(source, sha256, cache)
    if not path.exists():
        cure = "give the path or URL of an archive or folder, or a known source"
        msg = f"data.source '{quoted(source)}' does not exist; {cure} (looked at {quoted(path.absolute())})"
        raise ValueError(msg)
    if sha256 is not None:
        _check(path, sha256)
    return path


def _check(path: Path, expected: str) -> None:
    if path.is_dir():
        msg = f"data.sha256 is for archives, but {quoted(path)} is a folder; set it to null"
        raise ValueError(msg)
    got = sha256_of(path)
    if got != expected:
        msg = f"{quoted(path)} has sha256 {got}, expected {expected}; {OTHER_FILE_CURE} or correct data.sha256"
        raise ValueError(msg)


def _download(url: str, sha256: str | None, cache: Path) -> Path:
    name = Path(urllib.parse.urlsplit(url).path).name[-NAME_LENGTH:] or "archive"
    path = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if path.exists() and (sha256 is None or sha256_of(path) == sha256):
        return path
    with replacing(path) as temporary:  # also over a kept file that went bad or is older than the checksum
        receive(url, temporary)
        got = sha256_of(temporary)
        if sha256 not in (None, got):
            msg = f"{quoted(url)} has sha256 {got}, expected {sha256}; {OTHER_FILE_CURE} or correct data.sha256"
            raise ValueError(msg)
    return path
