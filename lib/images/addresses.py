"""What data.source names: a place on this machine or an address on the web."""

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lib.images.quoting import quoted

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
OFFLINE_CURE = "download it elsewhere and set data.source to the local path"


def local_path(source: str) -> Path | None:
    """The path of a local file or folder, None for an address on the web (http, https).

    Raises ValueError for an empty source, another scheme, an address that is none, and ~user without such a user.
    """
    if not source.strip():
        msg = "is empty; give a known source, or the path or URL of an archive or folder"
        raise ValueError(msg)
    match = SCHEME.match(source)
    scheme = match[1].lower() if match else ""
    if scheme in ("http", "https"):
        _check_web(source)
        return None
    if scheme not in ("", "file"):
        msg = f"begins with {quoted(scheme, 40)}:, but addresses begin with http:, https: or file:; {OFFLINE_CURE}"
        raise ValueError(msg)
    path = Path(url2pathname(urlsplit(source).path) if scheme else source)
    try:
        return path.expanduser()
    except RuntimeError as error:
        msg = f"begins with the home of a user who is not there ({quoted(path.parts[0], 40)}); write the path in full"
        raise ValueError(msg) from error


def _check_web(source: str) -> None:
    try:
        host = urlsplit(source).hostname
    except ValueError:
        host = None
    if not host:
        msg = f"is no address that can be read; write http://<host>/<path>, or {OFFLINE_CURE}"
        raise ValueError(msg)
