"""Getting an archive or folder to this machine, whole: local paths, file:// and http(s):// URLs, checksums."""

import hashlib
import http.client
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from lib.atomic import replacing
from lib.images.digest import sha256_of

TIMEOUT_SECONDS = 30.0
OTHER_FILE_CURE = "it is another file or a broken copy: get it again"
OFFLINE_CURE = "download it elsewhere and set data.source to the local path"


def fetch(source: str, sha256: str | None, cache: Path) -> Path:
    """The local path of `source`; what comes from the web is kept in `cache`, complete and checked, or not at all.

    Raises ValueError when the source does not exist, cannot be reached, arrives short or has another checksum.
    """
    address = urllib.parse.urlparse(source)
    if address.scheme in ("http", "https"):
        return _download(source, sha256, cache)
    path = Path(urllib.request.url2pathname(address.path) if address.scheme == "file" else source).expanduser()
    if not path.exists():
        msg = f"data.source {source!r} does not exist; give the path or URL of an archive or folder, or a known source"
        raise ValueError(msg)
    if sha256 is not None:
        _check(path, sha256)
    return path


def _check(path: Path, expected: str) -> None:
    if path.is_dir():
        msg = f"data.sha256 is for archives, but {path} is a folder; set it to null"
        raise ValueError(msg)
    got = sha256_of(path)
    if got != expected:
        msg = f"{path} has sha256 {got}, expected {expected}; {OTHER_FILE_CURE} or correct data.sha256"
        raise ValueError(msg)


def _download(url: str, sha256: str | None, cache: Path) -> Path:
    name = Path(urllib.parse.urlparse(url).path).name or "archive"
    path = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if path.exists() and (sha256 is None or sha256_of(path) == sha256):
        return path
    with replacing(path) as temporary:  # also over a kept file that went bad or is older than the checksum
        _receive(url, temporary)
        got = sha256_of(temporary)
        if sha256 not in (None, got):
            msg = f"{url} has sha256 {got}, expected {sha256}; {OTHER_FILE_CURE} or correct data.sha256"
            raise ValueError(msg)
    return path


def _receive(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
            expected = response.headers.get("Content-Length")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        msg = f"cannot download {url} ({error}); check the address and the network, or {OFFLINE_CURE}"
        raise ValueError(msg) from error
    if expected is not None and path.stat().st_size != int(expected):
        msg = f"{url} stopped after {path.stat().st_size} of {expected} bytes; try again, or {OFFLINE_CURE}"
        raise ValueError(msg)
