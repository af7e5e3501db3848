"""A file from a web server, with a limit on its size and on the time that it takes."""

import http.client
import shutil
import threading
import time
import urllib.request
from pathlib import Path
from typing import BinaryIO

from lib.atomic import FULL
from lib.images.addresses import OFFLINE_CURE
from lib.images.quoting import quoted

SILENT_SECONDS = 30.0  # of one wait for the server
WINDOW_SECONDS, WINDOW_BYTES = 60.0, 600_000  # the least that must come in each window
LONGEST_SECONDS = 24 * 3600.0
LARGEST_BYTES = 64 << 30
PIECE_BYTES = 1 << 18
ERRORS = (http.client.HTTPException, OSError, ValueError)  # URLError is an OSError


class _Transfer(threading.Thread):
    """Receives in the background, so that no server can hold up the one who waits; dies with the process."""

    def __init__(self, url: str, file: BinaryIO, room: int) -> None:
        super().__init__(daemon=True)
        self.url, self.file, self.room = url, file, room
        self.received = 0
        self.problem: str | None = None
        self.given_up = False
        self.full: OSError | None = None

    def run(self) -> None:
        """Receive; what goes wrong is kept in `problem`."""
        try:
            with urllib.request.urlopen(self.url, timeout=SILENT_SECONDS) as response:
                expected = _length(response.headers.get("Content-Length"), self.room)
                while not self.given_up and (piece := response.read1(PIECE_BYTES)):
                    self.received += len(piece)
                    if self.received > LARGEST_BYTES:
                        _refuse(f"it has more than {LARGEST_BYTES} bytes")
                    self.file.write(piece)
                if expected is not None and self.received != expected:
                    _refuse(f"it stopped after {self.received} of {expected} bytes")
        except ERRORS as error:
            self.problem = quoted(error)
            if isinstance(error, OSError) and error.errno in FULL:
                self.full = error


def receive(url: str, path: Path) -> None:
    """Write what `url` gives to a file.

    Raises OSError for a full disk, and ValueError for a server that cannot be reached, is too slow, sends less than it told
    or more than LARGEST_BYTES.
    """
    with path.open("wb") as file:
        transfer = _Transfer(url, file, shutil.disk_usage(path.parent).free)
        transfer.start()
        _watch(transfer)
    if transfer.full is not None:
        raise transfer.full  # `replacing` says what a full disk needs
    if transfer.problem is not None:
        msg = f"cannot download {quoted(url)} ({transfer.problem}); check the address and the network, or {OFFLINE_CURE}"
        raise ValueError(msg)


def _watch(transfer: _Transfer) -> None:
    """Wait for a transfer; give it up where too little comes in a window, or all takes too long."""
    end = time.monotonic() + LONGEST_SECONDS
    while transfer.is_alive():
        before = transfer.received
        transfer.join(WINDOW_SECONDS)
        new = transfer.received - before
        if transfer.is_alive() and (new < WINDOW_BYTES or time.monotonic() > end):
            transfer.given_up = True
            last = f"{new} of them in the last {WINDOW_SECONDS:g} s"
            transfer.problem = f"{transfer.received} bytes came so far, {last}: too slow"
            return


def _length(told: str | None, room: int) -> int | None:
    """The size that a server tells, None where it tells none."""
    if told is None:
        return None
    if not (told.isascii() and told.isdecimal() and len(told) < 19):
        _refuse(f"the server's Content-Length is {told!r}, which is no size")
    if int(told) > LARGEST_BYTES:
        _refuse(f"it has {told} bytes, more than {LARGEST_BYTES}")
    if int(told) > room:
        _refuse(f"it has {told} bytes, and {room} are free on the disk")
    return int(told)


def _refuse(reason: str) -> None:
    raise ValueError(reason)
