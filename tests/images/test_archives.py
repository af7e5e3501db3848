"""Folders, zips and tars: links are followed, limits hold before memory is taken, nothing vanishes without a word."""

import io
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lib.images import members as limits
from lib.images import tars
from lib.images.archives import opened
from lib.images.members import ArchiveError, DamagedError, content

CURE = "the archive is truncated or damaged: get it again"


def _contents(source: Path) -> dict[str, bytes]:
    with opened(source) as members:
        return {name: content(name, member, source) for name, member in members.items()}


@contextmanager
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def _tar(path: Path, *infos: tarfile.TarInfo, mode: str = "w", content: bytes = b"abc") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info in infos:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def _link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_in_a_tar_give_what_they_lead_to(tmp_path: Path, mode: str) -> None:
    source = _tar(
        tmp_path / "a.tar",
        _link("b/early", "../a/file", tarfile.SYMTYPE),
        tarfile.TarInfo("a/file"),
        _link("b/hard", "a/file", tarfile.LNKTYPE),
        _link("b/again", "b/hard", tarfile.LNKTYPE),
        _link("b/soft", "hard", tarfile.SYMTYPE),
        mode=mode,
    )
    assert _contents(source) == dict.fromkeys(("a/file", "b/early", "b/hard", "b/again", "b/soft"), b"abc")


@pytest.mark.parametrize("target", ["elsewhere", "b/two", "b/one"])
def test_a_link_to_nothing_or_in_a_circle_is_refused(tmp_path: Path, target: str) -> None:
    circle = _link("b/two", "one", tarfile.SYMTYPE)
    source = _tar(tmp_path / "a.tar", tarfile.TarInfo("a"), _link("b/one", f"../{target}", tarfile.SYMTYPE), circle)
    with pytest.raises(
        ArchiveError, match=r"a.tar: b/one is a link to .*, which is no file in the archive; pack the file itself"
    ):
        _contents(source)


def test_links_in_a_folder_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/x").write_bytes(b"abc")
    source = tmp_path / "data"
    source.mkdir()
    (source / "folder").symlink_to(tmp_path / "store")
    (source / "file").symlink_to(tmp_path / "store/x")
    os.link(tmp_path / "store/x", source / "hard")
    (source / "circle").symlink_to(source)
    assert _contents(source) == {"file": b"abc", "hard": b"abc", "folder/x": b"abc"}


def test_a_link_to_nothing_in_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(ArchiveError, match=r"gone cannot be read \(No such file or directory\)"):
        _contents(tmp_path)


def test_a_zip_member_of_400_mib_of_zeros_is_refused_by_name(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("train/cat/0.png", "w") as file,
    ):
        for _ in range(400):
            file.write(bytes(1 << 20))
    with (
        _little_memory(),
        pytest.raises(ArchiveError, match=r"a.zip: train/cat/0.png has 419430400 bytes unpacked, more than"),
    ):
        _contents(source)


def test_a_zip_member_that_hides_its_size_gives_no_more_than_it_told(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(50 << 20))
    size = (50 << 20).to_bytes(4, "little")
    source.write_bytes(source.read_bytes().replace(size, (100).to_bytes(4, "little")))
    with _little_memory(), pytest.raises(DamagedError, match=f"0.png: .*CRC.*{CURE}"):
        _contents(source)


def test_a_sparse_file_in_a_tar_is_refused_by_name(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("train/cat/0.png").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[257:265] = b"ustar  \0"
    header[483:495] = b"%011o\0" % (1 << 32)  # what it is unpacked
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with _little_memory(), pytest.raises(ArchiveError, match=r"train/cat/0.png has 4294967296 bytes unpacked, more than"):
        _contents(tmp_path / "a.tar")
    header[483:495] = b"%011o\0" % (1 << 20)
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(ArchiveError, match=r"train/cat/0.png is a sparse file; make the tar again without --sparse"):
        _contents(tmp_path / "a.tar")


def _header(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo("a")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_negative_size_does_not_lead_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(_header(0) + _header(-1024) + bytes(1024))
    with pytest.raises(DamagedError, match=f"a.tar: .*{CURE}"):
        _contents(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [1 << 40, -512])
def test_a_header_that_asks_for_much_memory_is_refused(tmp_path: Path, kind: bytes, size: int) -> None:
    (tmp_path / "a.tar").write_bytes(_header(size, kind) + bytes(2048))
    with _little_memory(), pytest.raises(DamagedError, match=f"a header that asks for -?[0-9]+ bytes.*{CURE}"):
        _contents(tmp_path / "a.tar")


def test_headers_of_headers_end(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(_header(0, tarfile.XHDTYPE) * 3000 + bytes(1024))
    with pytest.raises(DamagedError, match=CURE):
        _contents(tmp_path / "a.tar")


def test_a_tar_of_too_many_bytes_or_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _tar(tmp_path / "a.tar.gz", *(tarfile.TarInfo(f"{i}") for i in range(4)), mode="w:gz", content=bytes(5000))
    monkeypatch.setattr(tars, "TAR_BYTES", 9000)
    with pytest.raises(ArchiveError, match=r"a.tar.gz has more than 9000 bytes unpacked; take fewer images"):
        _contents(source)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "FILES", 3)
    with pytest.raises(ArchiveError, match=r"a.tar.gz has more than 3 files; take fewer images"):
        _contents(source)


def test_what_stands_behind_the_end_of_a_tar_is_not_lost(tmp_path: Path) -> None:
    source = _tar(tmp_path / "a.tar", tarfile.TarInfo("a"))
    source.write_bytes(source.read_bytes() * 2)
    with pytest.raises(DamagedError, match="there is more after the end of the tar"):
        _contents(source)


def test_a_compression_without_a_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("0.png", b"abc")
    with pytest.raises(ArchiveError, match=r"0.png cannot be unpacked; make the zip again, without a password, with deflate"):
        _contents(tmp_path / "a.zip")


@pytest.mark.parametrize(("old", "new"), [(b"notes.txt", b"notes.tst"), (b"0.png", b"0.pnx")])
def test_a_changed_name_in_the_list_of_a_zip_is_noticed(tmp_path: Path, old: bytes, new: bytes) -> None:
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("0.png", b"abc")
        archive.writestr("notes.txt", b"abc")
    whole = source.read_bytes()
    place = whole.rindex(old)
    source.write_bytes(whole[:place] + new + whole[place + len(old) :])
    with pytest.raises(DamagedError, match=CURE):
        _contents(source)


def test_an_entry_that_swallows_the_next_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("0.png", b"abc")
        archive.writestr("1.png", b"abc")
    whole = bytearray(source.read_bytes())
    first = whole.index(b"PK\1\2")
    whole[first + 32 : first + 34] = (46 + 5).to_bytes(2, "little")  # the length of its comment
    source.write_bytes(whole)
    with pytest.raises(DamagedError, match=r"the entry of 0.png holds the next one"):
        _contents(source)


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x", b"")
    source = _tar(tmp_path / "a.tar", tarfile.TarInfo("a"), content=inner.getvalue())
    assert set(_contents(source)) == {"a"}


def test_control_characters_of_names_do_not_reach_messages(tmp_path: Path) -> None:
    info = tarfile.TarInfo("\x1b[31mred" + "x" * 5000)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info.type, info.linkname = tarfile.SYMTYPE, "\x1b[0m"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match=r"\\x1b\[31mred") as told:
        _contents(tmp_path / "a.tar")
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 700
