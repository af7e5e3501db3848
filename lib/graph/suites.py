"""Which suite params.yaml and dvc.lock are those of, and how another one takes their place.

The base suite is a whole parameter file, all others are overlays on it (lib/params/overlay.py). params.yaml is always the
text that the active suite gives, the base's byte for byte: so what is edited is the file in the suites' folder, and
going back is exact. dvc.lock belongs to the active suite; the other suites' locks lie beside their files.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.atomic import replacing
from lib.params.overlay import document, overlaid

LETTERS = "lower-case letters, digits, - and _, at most 64"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Suites:
    """The suites of a project. folder: of their files; base: name of the whole one; params, lock: the project's files."""

    folder: Path
    base: str
    params: Path
    lock: Path

    def names(self) -> list[str]:
        """All suites; other files in the folder state no `suite`."""
        found = (path for path in sorted(self.folder.glob("*.yaml")) if re.search(r"^suite:", read_text(path), re.MULTILINE))
        return [path.stem for path in found]

    def text(self, name: str) -> str:
        """What params.yaml is for a suite. Raises ValueError when there is no such suite or its file is wrong."""
        if name not in (names := self.names()):
            msg = f"there is no suite {name[:64]!r} in {self.folder}; there are {', '.join(names)}"
            raise ValueError(msg)
        path = self._file(name)
        if not NAME.fullmatch(name):
            msg = f"{path}: a suite's name has {LETTERS}; call the file, and suite in it, so"
            raise ValueError(msg)
        base, own = read_text(self._file(self.base)), read_text(path)
        with _about(self._file(self.base)):
            document(base)
        with _about(path):
            whole = base if name == self.base else overlaid(base, own)
            found = document(whole).get("suite")
        if found != name:
            msg = f"{path}: suite is {str(found)[:64]!r}; it must be {name!r}, as the file is called"
            raise ValueError(msg)
        return whole

    def active(self) -> str:
        """The suite that params.yaml names. Raises ValueError when that is no name."""
        cure = f"correct it, or take it from git: git checkout {self.params}"
        try:
            found = document(self.params.read_text()).get("suite")
        except ValueError as error:
            msg = f"{self.params}: {error}; {cure}"
            raise ValueError(msg) from error
        if not isinstance(found, str) or not NAME.fullmatch(found):
            msg = f"{self.params}: suite is {str(found)[:64]!r}; it must be {LETTERS}; {cure}"
            raise ValueError(msg)
        return found

    def edited(self) -> bool:
        """Whether params.yaml is something else than its suite gives."""
        return self.active() not in self.names() or self.params.read_text() != self.text(self.active())

    def switch(self, name: str, discard: bool) -> None:
        """Make a suite the active one: its parameters, its lock; the lock that was here goes to its own suite's name.

        discard: lose what params.yaml holds that its suite's file does not; without it that is a ValueError, and nothing is
        changed. Every file is replaced at once and in an order from which the next call finds its way after a kill.
        """
        text, active = self.text(name), self.active()
        if self.edited() and not discard:
            msg = (
                f"{self.params} is not what {self._file(active)} gives: one of them was edited; put what you want to keep into"
                f" that file or into a suite of its own, then switch with DISCARD=1 (--discard): it writes {self.params} anew"
            )
            raise ValueError(msg)
        lock = self._lock_of(active)
        _put(self._stored(active), lock)
        _put(self.lock, lock if name == active else _bytes(self._stored(name)))
        _put(self.params, text.encode())
        _put(self._stored(name), None)

    def _lock_of(self, active: str) -> bytes | None:
        """The lock of the active suite.

        It is dvc.lock, unless a switch was cut short: then the active suite's lock lies under its own name, and dvc.lock is
        missing or a copy of some suite's.
        """
        lock, stored = _bytes(self.lock), _bytes(self._stored(active))
        copies = (_bytes(path) for path in self.folder.glob("*.lock"))
        return stored if stored is not None and (lock is None or lock in copies) else lock

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    def _stored(self, name: str) -> Path:
        return self.folder / f"{name}.lock"


def read_text(path: Path) -> str:
    """A file of parameters as text. Raises ValueError that names it where it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        raise ValueError(msg) from error


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Let errors name a file."""
    try:
        yield
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def of(root: Path) -> Suites:
    """Those of the project in a folder."""
    return Suites(folder=root / "suites", base="digits", params=root / "params.yaml", lock=root / "dvc.lock")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _put(path: Path, content: bytes | None) -> None:
    """Make a file hold this, or not be there."""
    if content is None:
        path.unlink(missing_ok=True)
    elif content != _bytes(path):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
