"""A folder that is whole or not there, with about.json, whose checksums tell whether it is what was written."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib.atomic import remove_abandoned, temporary_name, write_text
from lib.images.checksum import sha256_of

ABOUT = "about.json"
SEAL, FILE_SHA256 = "about_sha256", "sha256"

Seal = Callable[[Mapping[str, Any], str], None]


@contextmanager
def sealed(out: Path) -> Iterator[tuple[Path, Seal]]:
    """A folder to write to, which becomes `out` at the end, and seal(about, file) for what is to be said of it and its file.

    After an error nothing is left, and what `out` was stays. What killed processes left unfinished beside it is removed.
    """
    temporary = temporary_name(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out)
    temporary.mkdir()

    def seal(about: Mapping[str, Any], file: str) -> None:
        whole = {**about, FILE_SHA256: sha256_of(temporary / file)}
        write_text(temporary / ABOUT, json.dumps(whole | {SEAL: _seal(whole)}, indent=2, sort_keys=True) + "\n")

    try:
        yield temporary, seal
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_about(folder: Path) -> dict[str, Any]:
    """What about.json says. Raises ValueError where that is not as it was written, OSError and others where it is none."""
    about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    _compare(about[SEAL], _seal(about), ABOUT)
    return about


def check_file(folder: Path, about: Mapping[str, Any], file: str) -> None:
    """Raise ValueError where the file is not as it was written."""
    _compare(about[FILE_SHA256], sha256_of(folder / file), file)


def _compare(told: object, sha256: str, name: str) -> None:
    if told != sha256:
        msg = f"{name} is not as it was written: its checksum differs"
        raise ValueError(msg)


def _seal(about: Mapping[str, Any]) -> str:
    """The sha256 of all that about.json says but this."""
    content = json.dumps({key: value for key, value in about.items() if key != SEAL}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
