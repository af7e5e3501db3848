"""What others wrote with torch.save or safetensors, as plain tensors: nothing in such a file is ever executed.

A message here never says what torch says: it quotes its file at any length, and its advice is to trust the file.
"""

import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

LONGEST = 80  # characters of a name that a message shows
ZIP, SAFETENSORS = b"PK", b"{"  # how a file begins: at once, and behind 8 bytes of length
REFUSED = re.compile(r"GLOBAL (\S+)")
# What torch.load lets through when a pickle is not what torch.save writes: each of these was seen on a damaged file.
DAMAGE = (
    *(RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(OSError, struct.error, MemoryError, OverflowError, SafetensorError, zipfile.BadZipFile),
)


def read(path: Path) -> Any:
    """The content of a file. Raises ValueError, one line, when it is missing, damaged, or asks for code to be run."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}; give the path of a file"
        raise ValueError(msg) from error
    if not head:
        msg = f"{path} is empty; get it anew"
        raise ValueError(msg)
    if head.startswith(ZIP):
        _check_sizes(path)
    try:
        if path.suffix == ".safetensors" or head[8:] == SAFETENSORS:
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # torch's remarks on kinds of tensors that no network here has
            return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        raise ValueError(_told(path, error)) from error


def shown(text: str) -> str:
    """Text from a file for a message: printable, in one line, and no longer than a name should be."""
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return "".join(letter if letter.isprintable() else "?" for letter in short)


def _check_sizes(path: Path) -> None:
    """Refuse a zip whose members are larger than the file: torch.save never compresses, so it would be a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = sum(member.file_size for member in archive.infolist())
    except DAMAGE as error:
        raise ValueError(_told(path, error)) from error
    if inside > path.stat().st_size:
        msg = f"{path} holds {inside:,} bytes in {path.stat().st_size:,}: torch.save did not write it; unpack it first"
        raise ValueError(msg)


def _told(path: Path, error: BaseException) -> str:
    refused = REFUSED.search(str(error))
    if refused:
        cure = "save the weights alone where it was made: torch.save(model.state_dict(), ...)"
        return f"{path} holds {shown(refused[1])}, not only tensors, and nothing in it was run; {cure}"
    return f"{path} is damaged, or was not written by torch.save or safetensors; get it anew"
