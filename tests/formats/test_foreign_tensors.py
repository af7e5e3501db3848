"""Files of others: read as plain tensors, or refused in one line that never quotes what torch advises."""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lib.formats.foreign_tensors import read, shown

WEIGHTS = {"conv.weight": torch.arange(12.0).view(3, 4), "steps": torch.tensor(7)}
CASES = 250


def written(path: Path, kind: str, content: Any = WEIGHTS) -> Path:
    if kind == "safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_what_is_written_comes_back_whatever_the_file_is_called(kind: str, name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a", kind)
    if kind == "safetensors" or name == "a.pth":
        found = read(path.rename(tmp_path / name))
        assert found.keys() == WEIGHTS.keys()
        assert all(torch.equal(found[key], tensor) for key, tensor in WEIGHTS.items())


class Malicious:
    """What a foreign pickle could do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_is_refused_by_its_name_and_not_executed(kind: str, tmp_path: Path) -> None:
    content = {"state_dict": Malicious(tmp_path / "executed")}
    path = tmp_path / "a.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        written(path, kind, content)
    with pytest.raises(
        ValueError, match=r"^\S+ holds (posix|nt)\.mkdir, not only tensors, and nothing in it was run; save the"
    ) as told:
        read(path)
    assert not (tmp_path / "executed").exists()
    assert_of_ours(str(told.value))


def assert_of_ours(message: str) -> None:
    assert message.isprintable()  # one line, no terminal escapes
    assert len(message) < 500
    assert "weights_only" not in message
    assert "pytorch.org" not in message


def test_a_name_of_any_length_with_escapes_is_shown_short_and_plain(tmp_path: Path) -> None:
    name = "evil\x1b[31m" + "x" * 5000
    path = tmp_path / "a.pth"
    path.write_bytes(b"\x80\x02c" + f"{name}\nboom\n".encode() + b")R.")
    with pytest.raises(ValueError, match=r"holds evil\?\[31mx+…, not only tensors") as told:
        read(path)
    assert_of_ours(str(told.value))
    assert shown("a\u202eb\nc") == "a?b?c"


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"PK\x03\x04", b"\x80\x02.", b"not a pickle at all\n", b"\x10" + b"\0" * 7 + b"{"]
)
def test_files_of_nothing_or_something_else_are_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.pth is (empty|damaged, or was not written by torch\.save or safetensors); get it"
    ) as told:
        read(path)
    assert_of_ours(str(told.value))


def test_missing_files_and_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere cannot be read: No such file or directory; give the path of a file"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_zip_that_grows_when_it_is_read_is_refused_before_that(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(100_000_000))
    with pytest.raises(ValueError, match=r"holds 100,000,000 bytes in [\d,]+: torch.save did not write it"):
        read(path)


def test_a_storage_larger_than_the_file_is_not_given(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, content, _use_new_zipfile_serialization=False)
    path = tmp_path / "a.pth"
    path.write_bytes(content.getvalue().replace(b"K\x04", b"J\xff\xff\xff\x7f"))
    with pytest.raises(ValueError, match="is damaged"):
        read(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damage_of_any_kind_is_one_message(kind: str, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", kind).read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(CASES):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3, 20))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            read(tmp_path / "damaged")
        except ValueError as error:
            assert_of_ours(str(error))
            refused += 1
    assert refused > CASES / 4
