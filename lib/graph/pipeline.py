"""DVC's pipeline, driven in this process: what is stale, and stages run by workers that read and write no dvc.lock.

DVC's own command starts anew for every chain (a second), reads dvc.yaml and dvc.lock whole, and writes dvc.lock whole after
every stage. Here all is read once; a worker, forked from here, runs its stages as DVC does and sends their entries back.
"""

import fcntl
import fnmatch
import functools
import logging
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import networkx as nx
from tqdm import tqdm

from lib.atomic import write_text
from lib.graph.chains import Chain, affected, chains
from lib.graph.locks import entries, whole
from lib.graph.schedule import Send

LONGEST = 500  # characters of a message of DVC's


class Pipeline:
    """The stages of a project, and which of them are not up to date, by DVC's status.

    repo: from `locked`, and held until the workers have ended; lock: the project's dvc.lock. allow_missing: a stage
    whose outputs are not here, and that dvc.lock knows with the same inputs, counts as up to date. It runs again only where a
    stage that runs needs it.
    """

    def __init__(self, repo: Any, lock: Path, *, allow_missing: bool = False) -> None:
        tqdm.monitor_interval = 0  # DVC's bars start a thread, which could hold a lock at the moment of a fork, for ever
        self._repo, self._lock, self._allow_missing = repo, lock, allow_missing
        self._stages = {stage.addressing: stage for stage in repo.index.stages}
        self._graph = nx.DiGraph()
        self._graph.add_nodes_from(self._stages)
        self._graph.add_edges_from((need.addressing, stage.addressing) for stage, need in repo.index.graph.edges)
        self._entries = entries(lock.read_text()) if lock.exists() else {}
        self._lacking: frozenset[str] = frozenset()

    @functools.cached_property
    def stale(self) -> frozenset[str]:
        """The stages that are not up to date."""
        found = frozenset(filter(self._changed, self._stages) if self._allow_missing else self._repo.status())
        self._repo.state.close()  # its connection is not for forked processes
        return found

    def todo(self, later: Set[str], only: Iterable[str] = ()) -> dict[Chain, frozenset[Chain]]:
        """The chains of stages to run, each with those it needs first: all that is stale or needs it, but for `later`.

        only: patterns of names, such as `measure@l1-*`, or the name of a whole matrix. Then no more runs than the stages that
        match one, and what they need. Raises ValueError for a pattern that no stage matches but those of `later`.
        """
        wanted = affected(self._graph, self.stale) - later
        if only:
            wanted &= self._needed(only, later)
        self._lacking = self._missing(wanted) if self._allow_missing else frozenset()
        return chains(self._graph, wanted | self._lacking)

    def _needed(self, only: Iterable[str], later: Set[str]) -> set[str]:
        """The stages of these names, and all that they need."""
        named = {name for pattern in only for name in self._matching(pattern, later)}
        return named.union(*(nx.ancestors(self._graph, name) for name in named))

    def _matching(self, pattern: str, later: Set[str]) -> Set[str]:
        found = {name for name in self._stages if fnmatch.fnmatch(name, pattern) or name.partition("@")[0] == pattern}
        if not found:
            msg = f"no stage is named {pattern!r}; `dvc stage list --name-only` lists them"
            raise ValueError(msg)
        if found <= later:
            msg = f"{pattern} is about all cells and runs alone: dvc repro {pattern}"
            raise ValueError(msg)
        return found - later

    def single(self, without: Set[str], only: Iterable[str] = ()) -> list[str]:
        """The stages that are no matrix, in order: those that all cells share. only: as for `todo`."""
        needed = self._needed(only, without) if only else set(self._stages)
        return [name for name in self._stages if "@" not in name and name in needed - without]

    def folders(self, names: Set[str]) -> list[Path]:
        """The folders that stages read and others write into, and that are not here because nothing is in them."""
        written = {above for stage in self._stages.values() for out in stage.outs for above in Path(out.fs_path).parents}
        deps = [dep for name in names if name in self._stages for dep in self._stages[name].deps if not dep.exists]
        return [path for path in (Path(dep.fs_path) for dep in deps) if path in written]

    def _changed(self, name: str) -> bool:
        """Whether a stage is out of date by dvc.lock and by what is here of its files. Those of DVC's cache may be missing."""
        needs = [self._stages[need] for need in self._graph.predecessors(name)]
        stage = self._stages[name]
        return stage.changed(allow_missing=True, upstream=needs) or any(map(_altered, stage.outs))

    def _missing(self, wanted: Set[str]) -> frozenset[str]:
        """The stages to run again because what stages need of them is not here."""
        found: set[str] = set()
        todo = list(wanted)
        while todo:
            for need in self._graph.predecessors(todo.pop()):
                if need not in found and not all(out.exists for out in self._stages[need].outs):
                    found.add(need)
                    todo.append(need)
        return frozenset(found)

    def before(self, chain: Chain) -> list[str]:
        """All stages that a chain needs, those of the chain apart, in an order in which they can run."""
        needs: set[str] = set().union(*(nx.ancestors(self._graph, name) for name in chain)) - set(chain)
        return list(nx.topological_sort(self._graph.subgraph(needs)))

    def known(self, chain: Chain) -> str:
        """The text of a dvc.lock that says what is known of a chain and of what it needs, and nothing else."""
        names = [name for name in (*self.before(chain), *chain) if name in self._entries]
        return whole({name: self._entries[name] for name in names}, list(self._stages)) if names else ""

    def restore(self, names: Iterable[str]) -> list[str]:
        """Bring here what stages made elsewhere, from DVC's cache; those that are not there whole.

        What they need must be here.
        """
        from dvc.stage.cache import RunCacheNotFoundError

        _be_quiet()
        missing = []
        for name in names:
            try:
                self._repo.stage_cache.restore(self._stages[name])
            except RunCacheNotFoundError:
                missing.append(name)
        return missing

    def reproduce(self, chain: Chain, folder: Path, send: Send) -> None:
        """Bring the stages of a chain up to date, in a forked process; send (stage, entry of dvc.lock) of each; the
        entry is "" where nothing changed.

        folder: for DVC's notes on who reads and writes which file. The parent process holds DVC's lock for all its
        children, and runs what a stage needs before it: they wait for one another only at DVC's cache.
        """
        from dvc.exceptions import DvcException
        from dvc.stage.serialize import to_lockfile
        from dvc.utils.serialize import dumps_yaml

        _be_quiet()
        self._repo.lock, self._repo.tmp_dir = _Turns(Path(self._repo.cache.local_cache_dir)), str(folder)
        with self._repo.lock:
            for name in chain:
                stage = self._stages[name]
                sys.stdout.write(f"{name}\n")
                try:
                    ran = not self._may_miss(name) and stage.reproduce()
                except DvcException as error:
                    sys.exit(f"{name}: {error}")
                send((name, dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage)}) if ran else ""))

    def _may_miss(self, name: str) -> bool:
        """Whether a stage is unchanged, be it here or not, and nothing needs it."""
        return self._allow_missing and name not in self._lacking and not self._changed(name)

    def merge(self, sent: Iterable[tuple[str, str]]) -> None:
        """Write entries that workers sent into dvc.lock, in one go; the order of entries is that of dvc.yaml."""
        new = {name: entries(text)[name] for name, text in sent if text}
        if new:
            self._entries |= new
            write_text(self._lock, whole(self._entries, list(self._stages)))


def _altered(out: Any) -> bool:
    """Whether an output is here and not the one of dvc.lock, or is one of git's and not here."""
    return any(status != "deleted" or not out.use_cache for status in out.workspace_status().values())


class _Turns:
    """In place of DVC's lock in a worker: DVC gives it back while a command runs, and takes it to look into its cache.

    Without it, two workers that put the same content there at once can each take the other's half-written file for a broken
    one and remove it. folder: the cache; the lock of a process that dies is free.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "turns.lock"
        self._file: TextIO | None = None

    @property
    def is_locked(self) -> bool:
        return self._file is not None

    def lock(self) -> None:
        self._file = self._path.open("a")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def unlock(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, *_: object) -> None:
        self.unlock()


@contextmanager
def locked(root: Path) -> Iterator[Any]:
    """DVC's view of the project in a folder, kept from all other DVC commands meanwhile.

    Raises ValueError when another command holds it, or DVC cannot read it.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo, lock_repo

    try:
        with Repo(str(root)) as repo, lock_repo(repo):
            yield repo
    except LockError as error:
        msg = "another `make repro` or DVC command is at work here and holds the repository; wait for its end, or end it"
        raise ValueError(msg) from error
    except DvcException as error:
        msg = f"DVC cannot read the pipeline: {str(error)[:LONGEST]}; `make check` says more of params.yaml"
        raise ValueError(msg) from error


def _be_quiet() -> None:
    logging.getLogger("dvc").setLevel(logging.WARNING)  # else it draws the parent's progress line into the log
