"""Which chain runs when: every one once, after what it needs, and a failure harms only what needs it."""

from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import NamedTuple, Protocol

import networkx as nx

from lib.graph.chains import Chain

Sent = tuple[str, str]  # a node that is finished, and what there is to tell of it
Send = Callable[[Sent], None]
Heard = Callable[[list[Sent]], None]


class Ended(NamedTuple):
    """A chain that has ended. good: it did its work; sent: its finished nodes, also those before a failure."""

    chain: Chain
    good: bool
    sent: list[Sent]


class Executor(Protocol):
    """Where chains run: processes of this machine, or tasks on many."""

    def room(self, running: int) -> bool:
        """Whether one more may start where so many run."""

    def start(self, chain: Chain) -> None:
        """Start a chain; do not wait."""

    def wait(self) -> Iterable[Ended]:
        """Wait until something has happened, or a while; the chains that ended."""

    def stop(self) -> Iterable[list[Sent]]:
        """End all that runs; what each had sent."""


class Schedule:
    """Chains that run once what they need is done.

    Of the chains that are ready the one on which the fewest others depend comes first. That is mostly the one nearest to the
    end of a cell: when a long run is ended, as many cells as can be are whole, instead of each being begun. In return a worker
    may wait at the end, for a network that was left to the last. Equal ones run in the order of todo.

    todo: the chains, each with those that it needs first. What needs a failed chain stays in `waiting`; all others run.
    `failed` names the node at which each failed chain ended.
    """

    def __init__(self, todo: Mapping[Chain, frozenset[Chain]]) -> None:
        graph = nx.DiGraph([(need, chain) for chain, needs in todo.items() for need in needs])
        graph.add_nodes_from(todo)
        self._rank = {chain: (len(nx.descendants(graph, chain)), index) for index, chain in enumerate(todo)}
        self._sorter = TopologicalSorter(todo)
        self._sorter.prepare()
        self._ready = list(self._sorter.get_ready())
        self.waiting = list(todo)
        self.running: list[Chain] = []
        self.done: list[Chain] = []
        self.failed: dict[Chain, str] = {}

    def carry_out(self, executor: Executor, heard: Heard, told: Callable[[], None]) -> None:
        """Run all; an exception or an interrupt ends what runs.

        heard(messages): called when a chain has ended, however it ended, with what it sent; told(): when anything changed,
        and once a while.
        """
        try:
            while self._ready or self.running:
                while self._ready and executor.room(len(self.running)):
                    self._start(executor)
                told()
                for ended in executor.wait():
                    self._take(ended)
                    heard(ended.sent)
            told()
        finally:
            for sent in executor.stop():
                heard(sent)

    def _start(self, executor: Executor) -> None:
        chain = min(self._ready, key=self._rank.__getitem__)
        self._ready.remove(chain)
        executor.start(chain)
        self.running.append(chain)
        self.waiting.remove(chain)

    def _take(self, ended: Ended) -> None:
        chain, good, sent = ended
        self.running.remove(chain)
        if good:
            self.done.append(chain)
            self._sorter.done(chain)
            self._ready += self._sorter.get_ready()
        else:
            self.failed[chain] = chain[min(len(sent), len(chain) - 1)]
