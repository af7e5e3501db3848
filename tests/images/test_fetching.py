"""Archives arrive whole or not at all, and say what to do when they do not."""

import contextlib
import errno
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from lib.images import receiving
from lib.images.addresses import OFFLINE_CURE
from lib.images.checksum import sha256_of
from lib.images.fetching import fetch

CONTENT = b"an archive" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0" * 64


class Shelf:
    """What the server answers, and what it was asked for."""

    def __init__(self) -> None:
        self.content, self.status, self.cut = CONTENT, 200, 0
        self.length: str | None = None  # told instead of the true one
        self.pause = 0.0  # before each byte
        self.reason: str | None = None
        self.asked: list[str] = []
        self.url = ""


def _handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shelf.asked.append(self.path)
            self.send_response(shelf.status, shelf.reason)
            self.send_header("Content-Length", shelf.length or str(len(shelf.content)))
            self.end_headers()
            body = shelf.content[: len(shelf.content) - shelf.cut]
            with contextlib.suppress(ConnectionError):  # the other side may have had enough
                for piece in [body] if not shelf.pause else (bytes([byte]) for byte in body):
                    self.wfile.write(piece)
                    time.sleep(shelf.pause)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            """Quiet."""

    return Handler


@contextmanager
def _served() -> Iterator[Shelf]:
    shelf = Shelf()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(shelf))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    shelf.url = f"http://127.0.0.1:{server.server_port}/some/data.zip"
    try:
        yield shelf
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with _served() as shelf:
        yield shelf


def _files(folder: Path) -> list[Path]:
    return list(folder.rglob("*")) if folder.exists() else []


def test_sha256_of_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "a") == SHA256


@pytest.mark.parametrize("address", [str, Path.as_uri], ids=["path", "file"])
@pytest.mark.parametrize("sha256", [None, SHA256])
def test_a_local_file_is_used_where_it_lies(tmp_path: Path, address: Callable[[Path], str], sha256: str | None) -> None:
    path = tmp_path / "with space.zip"
    path.write_bytes(CONTENT)
    assert fetch(address(path), sha256, tmp_path / "cache") == path
    assert not (tmp_path / "cache").exists()


def test_a_local_file_with_another_checksum_is_refused_with_both(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    with pytest.raises(ValueError, match=f"has sha256 {SHA256}, expected {WRONG}; .*get it again"):
        fetch(str(tmp_path / "a.zip"), WRONG, tmp_path)


@pytest.mark.parametrize("source", ["nowhere/a.zip", "file:///nowhere/a.zip", "cifra10"])
def test_a_source_that_does_not_exist_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(ValueError, match=f"data.source '{source}' does not exist; give the path or URL"):
        fetch(source, None, tmp_path)


def test_the_path_looked_at_for_a_relative_source_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"data.source 'mine/a.zip' does not exist; .*looked at {tmp_path}/mine/a.zip\)"):
        fetch("mine/a.zip", None, tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [("", "is empty"), ("ftp://127.0.0.1/a.zip", "begins with ftp:"), ("~nobody-of-that-name/x", "begins with the home of")],
)
def test_a_source_that_cannot_be_is_refused_with_the_key(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^data.source '{source}' {said}"):
        fetch(source, None, tmp_path)


def test_a_checksum_for_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is for archives, but .* is a folder; set it to null"):
        fetch(str(tmp_path), SHA256, tmp_path)


@pytest.mark.parametrize("sha256", [None, SHA256])
def test_a_download_is_kept_and_not_asked_for_twice(shelf: Shelf, tmp_path: Path, sha256: str | None) -> None:
    cache = tmp_path / "cache"
    path = fetch(shelf.url, sha256, cache)
    assert path.read_bytes() == CONTENT
    assert fetch(shelf.url, sha256, cache) == path
    assert shelf.asked == ["/some/data.zip"]
    assert _files(cache) == [path]


def test_two_addresses_with_one_file_name_do_not_meet(shelf: Shelf, tmp_path: Path) -> None:
    first = fetch(shelf.url, None, tmp_path)
    shelf.content = b"other"
    assert fetch(shelf.url.replace("some", "other"), None, tmp_path).read_bytes() == b"other"
    assert first.read_bytes() == CONTENT


def test_a_download_with_another_checksum_is_refused_and_not_kept(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"data.zip has sha256 {SHA256}, expected {WRONG}; .*correct data.sha256"):
        fetch(shelf.url, WRONG, tmp_path / "cache")
    assert _files(tmp_path / "cache") == []


def test_a_kept_download_that_went_bad_is_replaced(shelf: Shelf, tmp_path: Path) -> None:
    path = fetch(shelf.url, SHA256, tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert fetch(shelf.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert len(shelf.asked) == 2


def test_a_kept_download_is_checked_against_a_checksum_given_later(shelf: Shelf, tmp_path: Path) -> None:
    path = fetch(shelf.url, None, tmp_path)
    with pytest.raises(ValueError, match=f"expected {WRONG}; .*get it again"):
        fetch(shelf.url, WRONG, tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_missing_page_is_an_error_with_its_number(shelf: Shelf, tmp_path: Path) -> None:
    shelf.status = 404
    with pytest.raises(ValueError, match=r"cannot download http://127.*404.*check the address.*data.source"):
        fetch(shelf.url, None, tmp_path / "cache")
    assert _files(tmp_path / "cache") == []


def test_a_body_shorter_than_announced_is_not_kept(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut = 7
    with pytest.raises(ValueError, match=f"stopped after 9993 of 10000 bytes.*{OFFLINE_CURE}"):
        fetch(shelf.url, None, tmp_path / "cache")
    assert _files(tmp_path / "cache") == []


def test_without_a_network_the_error_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.zip"
        with pytest.raises(ValueError, match=f"cannot download.*refused.*check the address.*{OFFLINE_CURE}"):
            fetch(url, None, tmp_path / "cache")
    assert _files(tmp_path / "cache") == []


@pytest.mark.parametrize("length", ["abc", "-5", "1e3", "\xb2", "9" * 30])
def test_a_length_that_is_no_size_is_told(shelf: Shelf, tmp_path: Path, length: str) -> None:
    shelf.length = length
    with pytest.raises(ValueError, match=r"cannot download http://127.*Content-Length is '.*', which is no size.*data.source"):
        fetch(shelf.url, None, tmp_path / "cache")
    assert _files(tmp_path / "cache") == []


def test_more_than_the_limit_is_refused_whether_told_or_not(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.length = str(1 << 50)
    with pytest.raises(ValueError, match=f"it has {1 << 50} bytes, more than {receiving.LARGEST_BYTES}"):
        fetch(shelf.url, None, tmp_path / "cache")
    monkeypatch.setattr(receiving, "LARGEST_BYTES", 9999)
    shelf.length = " "
    monkeypatch.setattr(receiving, "_length", lambda *_: None)
    with pytest.raises(ValueError, match="it has more than 9999 bytes"):
        fetch(shelf.url, None, tmp_path / "cache")
    assert _files(tmp_path / "cache") == []


def test_more_than_the_disk_holds_is_refused(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage)
    with pytest.raises(ValueError, match="it has 10000 bytes, and 77 are free on the disk"):
        fetch(shelf.url, None, tmp_path / "cache")


class _Usage:
    free = 77


def test_a_server_that_is_too_slow_is_given_up(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "WINDOW_SECONDS", 0.3)
    shelf.pause = 0.01  # a byte each: no single wait is long
    shelf.content = CONTENT[:300]
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"\([0-9]+ bytes came so far, [0-9]+ of them in the last 0.3 s: too slow\); check"):
        fetch(shelf.url, None, tmp_path / "cache")
    assert time.monotonic() - start < 2
    assert _files(tmp_path / "cache") == []


def test_a_download_ends_after_the_longest_time(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(receiving, "WINDOW_BYTES", 0)
    monkeypatch.setattr(receiving, "LONGEST_SECONDS", 0.3)
    shelf.pause, shelf.content = 0.01, CONTENT[:300]
    with pytest.raises(ValueError, match="too slow"):
        fetch(shelf.url, None, tmp_path / "cache")


def test_a_reason_of_a_server_is_told_short_and_without_control_characters(shelf: Shelf, tmp_path: Path) -> None:
    shelf.status, shelf.reason = 500, "\x1b[31m" + "x" * 50_000
    with pytest.raises(ValueError, match=re.escape(r"HTTP Error 500: \x1b[31mxxx")) as told:
        fetch(shelf.url, None, tmp_path / "cache")
    assert len(str(told.value)) < 700
    assert str(told.value).isprintable()


def test_what_a_killed_download_left_goes_with_the_next(shelf: Shelf, tmp_path: Path) -> None:
    path = fetch(shelf.url, None, tmp_path)
    path.rename(path.with_name(f".{path.name}.999999999.tmp"))
    assert fetch(shelf.url, None, tmp_path) == path
    assert _files(tmp_path) == [path]


def test_a_full_disk_is_told_as_such(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    original = receiving._Transfer.__init__

    def begin(transfer: receiving._Transfer, url: str, file: IO[bytes], room: int) -> None:
        original(transfer, url, file, room)
        transfer.file = SimpleNamespace(write=full)

    monkeypatch.setattr(receiving._Transfer, "__init__", begin)
    with pytest.raises(ValueError, match=r"the disk \(or your share of it\) is full"):
        fetch(shelf.url, None, tmp_path)
    assert _files(tmp_path) == []
