"""Chains of work in several processes at once."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from lib.graph.chains import Chain
from lib.graph.orphans import die_with_parent

FORK = multiprocessing.get_context("fork")  # a child starts with all that its parent has read
LOG = "log.txt"

Sent = tuple[str, str]  # a node that is finished, and what there is to tell of it
Send = Callable[[Sent], None]
Work = Callable[[Chain, Path, Send], None]


class _Worker:
    """A process for one chain. It has its own folder and log file, reads no terminal, and ends with its parent."""

    def __init__(self, chain: Chain, work: Work, folder: Path) -> None:
        self.messages: list[Sent] = []
        self.connection, sender = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=_begin, args=(os.getpid(), chain, work, folder, sender), daemon=True)
        self._process.start()
        sender.close()  # the child's copy is now the only one, so the child's end is the end of its messages

    def receive(self) -> bool:
        """Wait for a message; false when the process has ended instead."""
        try:
            self.messages.append(self.connection.recv())
        except (EOFError, OSError):  # the second one: killed in the middle of a message
            return False
        return True

    def end(self) -> bool:
        """Wait for the process, then kill what it started and left; whether it did its work."""
        self._process.join()
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.connection.close()
        return self._process.exitcode == 0

    def stop(self) -> None:
        """Kill the process and what it started."""
        self._process.kill()
        self.end()


def _begin(parent: int, chain: Chain, work: Work, folder: Path, sender: Connection) -> None:
    os.setpgrp()  # Ctrl-C in the terminal is for the parent, which ends this group
    die_with_parent(parent)
    folder.mkdir(parents=True)
    log = (folder / LOG).open("w", buffering=1)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for number in (1, 2):
        os.dup2(log.fileno(), number)  # for the processes that the work starts
    sys.stdout = sys.stderr = log
    work(chain, folder, sender.send)


class Running:
    """Chains that run once what they need is done, some at once, each in a process of its own.

    todo: the chains, each with those that it needs first. folder: for their logs; those of an earlier run go.
    work(chain, folder, send): runs in that process, with folder / <first of the chain> for its log and notes; sends a message
    for each node that is finished; an exception or sys.exit fails the chain. What needs a failed chain stays in `waiting`;
    all others run. `failed` names the node at which each failed chain ended.
    """

    def __init__(self, todo: Mapping[Chain, frozenset[Chain]], work: Work, folder: Path) -> None:
        self._sorter = TopologicalSorter(todo)
        self._sorter.prepare()
        self._work, self._folder = work, folder
        shutil.rmtree(folder, ignore_errors=True)
        self._ready = deque(self._sorter.get_ready())
        self._running: dict[Connection, tuple[Chain, _Worker]] = {}
        self.waiting = list(todo)
        self.done: list[Chain] = []
        self.failed: dict[Chain, str] = {}

    @property
    def running(self) -> list[Chain]:
        """The chains at work."""
        return [chain for chain, _ in self._running.values()]

    def run(self, jobs: int, heard: Callable[[list[Sent]], None], told: Callable[[], None]) -> None:
        """Running all, `jobs` at once; an interrupt ends all processes.

        heard(messages): called when a chain has ended, however it ended, with what it sent; told(): when anything changed.
        """
        try:
            while self._ready or self._running:
                while self._ready and len(self._running) < jobs:
                    self._start(self._ready.popleft())
                told()
                for connection in wait(list(self._running)):
                    self._listen(connection, heard)
            told()
        finally:
            for _, worker in self._running.values():
                worker.stop()
                heard(worker.messages)

    def _start(self, chain: Chain) -> None:
        worker = _Worker(chain, self._work, self._folder / chain[0])
        self._running[worker.connection] = (chain, worker)
        self.waiting.remove(chain)

    def _listen(self, connection: Any, heard: Callable[[list[Sent]], None]) -> None:
        chain, worker = self._running[connection]
        if worker.receive():
            return
        del self._running[connection]
        if worker.end():
            self.done.append(chain)
            self._sorter.done(chain)
            self._ready += self._sorter.get_ready()
        else:
            self.failed[chain] = chain[min(len(worker.messages), len(chain) - 1)]
        heard(worker.messages)
