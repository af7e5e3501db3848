"""Chains of work in several processes at once."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from lib.graph.chains import Chain
from lib.graph.orphans import die_with_parent
from lib.graph.schedule import Ended, Heard, Schedule, Send, Sent

FORK = multiprocessing.get_context("fork")  # a child starts with all that its parent has read
LOG = "log.txt"
TICK = 1.0  # seconds to wait for messages, so that the time that has gone can be told

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
        """Kill the process and what it started; what it had sent is still received."""
        self._process.kill()
        while self.receive():
            pass
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


class Processes:
    """Chains in processes of this machine, `jobs` at once (an Executor). work, folder: as in `Running`."""

    def __init__(self, work: Work, folder: Path, jobs: int) -> None:
        self._work, self._folder, self._jobs = work, folder, jobs
        self._workers: dict[Connection, tuple[Chain, _Worker]] = {}

    def room(self, running: int) -> bool:
        """Whether one more may start where so many run."""
        return running < self._jobs

    def start(self, chain: Chain) -> None:
        """Start a process for a chain."""
        worker = _Worker(chain, self._work, self._folder / chain[0])
        self._workers[worker.connection] = (chain, worker)

    def wait(self) -> Iterator[Ended]:
        """Wait for messages, or a while; the chains whose processes ended."""
        for connection in wait(list(self._workers), TICK):
            assert isinstance(connection, Connection)
            chain, worker = self._workers[connection]
            if not worker.receive():
                del self._workers[connection]
                yield Ended(chain, worker.end(), worker.messages)

    def stop(self) -> Iterator[list[Sent]]:
        """Kill the processes; what each had sent."""
        for _, worker in self._workers.values():
            worker.stop()
            yield worker.messages


class Running(Schedule):
    """Chains at work on this machine, each in a process of its own.

    folder: for their logs; those of an earlier run go. work(chain, folder, send): runs in that process, with
    folder / <first of the chain> for its log and notes; sends a message for each node that is finished; an exception or
    sys.exit fails the chain.
    """

    def __init__(self, todo: Mapping[Chain, frozenset[Chain]], work: Work, folder: Path) -> None:
        super().__init__(todo)
        self._work, self._folder = work, folder
        shutil.rmtree(folder, ignore_errors=True)

    def run(self, jobs: int, heard: Heard, told: Callable[[], None]) -> None:
        """Running all, `jobs` at once (see `carry_out`)."""
        self.carry_out(Processes(self._work, self._folder, jobs), heard, told)
