"""The folder that all machines of a run share: DVC's cache, and in it `cells`, for what is no object of DVC's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from lib.graph.owned import owned

CELLS = "cells"


@dataclass(frozen=True)
class Shared:
    """The shared folder as one run uses it. cache: DVC's; run: a random name, which proves that a folder is the driver's."""

    cache: Path
    run: str

    @property
    def scratch(self) -> Path:
        """For the state of unfinished trainings, and for what each machine downloads; outlives the run."""
        return self.cache / CELLS / "scratch"

    @property
    def _notes(self) -> Path:
        return self.cache / CELLS / "runs" / self.run

    def seen(self) -> bool:
        """Whether this machine sees the driver's folder under this path."""
        return self._notes.is_dir()

    @contextmanager
    def at_work(self, name: str, host: str) -> Iterator[None]:
        """Tell the driver meanwhile where a cell runs."""
        note = self._note(name)
        note.parent.mkdir(exist_ok=True)
        note.write_text(host)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Take back what a cell told whose machine is lost."""
        self._note(name).unlink(missing_ok=True)

    def hosts(self) -> dict[str, str]:
        """Where each cell runs, by name."""
        found = {}
        for note in (self._notes / "at_work").glob("*"):
            try:
                found[unquote(note.name)] = note.read_text()
            except FileNotFoundError:  # it has just ended
                continue
        return found

    def _note(self, name: str) -> Path:
        return self._notes / "at_work" / quote(name, safe="")

    def settled(self, name: str, value: str) -> str:
        """What the first that asked said of a name; that is `value` for the first."""
        path = self._notes / name
        own = path.with_name(f"{name}.{os.uname().nodename}.{os.getpid()}")
        own.write_text(value)
        try:
            os.link(own, path)  # fails where there is one, and is never seen half-written
        except FileExistsError:
            pass
        finally:
            own.unlink()
        return path.read_text()


@contextmanager
def sharing(cache: Path, clone: Path) -> Iterator[Shared]:
    """The shared folder for a run that this process drives. Raises ValueError when no other machine can see it."""
    if cache.resolve().is_relative_to(clone.resolve()):
        msg = (
            f"DVC's cache is in this clone ({cache}); put it into a folder that all machines see under one path, outside of"
            " every clone: `dvc cache dir --local /shared/cache`; move there what is in it now"
        )
        raise ValueError(msg)
    with owned(cache / CELLS / "runs") as notes:
        yield Shared(cache, notes.name)
