"""The order of chains, with an executor that only pretends to run them."""

from collections.abc import Iterator

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.graph.chains import Chain
from lib.graph.report import spread
from lib.graph.schedule import Ended, Schedule, Sent

Todo = dict[Chain, frozenset[Chain]]


@st.composite
def todos(draw: st.DrawFn) -> Todo:
    """Up to eight chains, each needing some of those before it."""
    found: Todo = {}
    for number in range(draw(st.integers(1, 8))):
        needs = draw(st.sets(st.sampled_from(list(found)))) if found else set()
        found[(f"a{number}", f"b{number}")] = frozenset(needs)
    return found


class Pretending:
    """An executor of so many at once whose chains end in an order of `draw`; `bad` ones fail after their first node."""

    def __init__(self, jobs: int, bad: set[Chain], draw: st.DataObject) -> None:
        self.jobs, self.bad, self._draw = jobs, bad, draw
        self.needs: Todo = {}
        self.started: list[Chain] = []
        self.ended: list[Chain] = []
        self.at_once = 0
        self.stopped = False

    @property
    def running(self) -> list[Chain]:
        return [chain for chain in self.started if chain not in self.ended]

    def room(self, running: int) -> bool:
        return running < self.jobs

    def start(self, chain: Chain) -> None:
        assert self.needs.get(chain, frozenset()) <= set(self.ended) - self.bad
        self.started.append(chain)
        self.at_once = max(self.at_once, len(self.running))

    def wait(self) -> Iterator[Ended]:
        for chain in self._draw.draw(st.lists(st.sampled_from(self.running), unique=True)) or self.running[:1]:
            self.ended.append(chain)
            sent = [(node, "told") for node in chain]
            yield Ended(chain, chain not in self.bad, sent[:1] if chain in self.bad else sent)

    def stop(self) -> Iterator[list[Sent]]:
        self.stopped = True
        yield from ([("partly", "told")] for _ in self.running)


@given(todos(), st.integers(1, 4), st.data())
def test_every_chain_runs_once_after_its_needs_and_a_failure_harms_only_what_needs_it(
    todo: Todo, jobs: int, draw: st.DataObject
) -> None:
    bad = set(draw.draw(st.lists(st.sampled_from(list(todo)), unique=True, max_size=2)))
    executor, schedule, heard = Pretending(jobs, bad, draw), Schedule(todo), list[list[Sent]]()
    executor.needs = todo
    schedule.carry_out(executor, heard.append, lambda: None)
    graph = nx.DiGraph([(need, chain) for chain, needs in todo.items() for need in needs])
    graph.add_nodes_from(todo)
    lost = set().union(*(nx.descendants(graph, chain) for chain in bad)) if bad else set()
    assert sorted(executor.started) == sorted(set(todo) - lost)
    assert set(schedule.done) == set(todo) - lost - bad
    assert schedule.failed == {chain: chain[1] for chain in bad - lost}
    assert set(schedule.waiting) == lost
    assert schedule.running == []
    assert executor.at_once <= jobs
    assert executor.stopped
    assert len(heard) == len(executor.started)


def test_what_was_begun_is_finished_before_more_is_begun() -> None:
    todo: Todo = {(f"train@{seed}",): frozenset() for seed in (0, 1)}
    todo |= {(f"prune@{method}-{seed}",): frozenset({(f"train@{seed}",)}) for method in ("b", "a") for seed in (0, 1)}
    todo |= {(f"distill@{name}",): frozenset({(f"prune@{name}",)}) for name in ("b-0", "b-1", "a-0", "a-1")}
    order: list[str] = []

    class OneByOne(Pretending):
        def start(self, chain: Chain) -> None:
            order.append(chain[0])
            super().start(chain)

        def wait(self) -> Iterator[Ended]:
            self.ended += self.running
            yield Ended(self.ended[-1], good=True, sent=[])

    def run(wanted: Todo) -> None:
        executor = OneByOne(1, set(), None)  # type: ignore[arg-type]
        executor.needs = wanted
        order.clear()
        Schedule(wanted).carry_out(executor, lambda _: None, lambda: None)

    run(todo)
    of_a_seed = ["train@{}", "prune@b-{}", "distill@b-{}", "prune@a-{}", "distill@a-{}"]
    whole = [name.format(seed) for seed in (0, 1) for name in of_a_seed]
    assert order == whole
    left = {chain: needs & {(name,) for name in whole[2:]} for chain, needs in todo.items() if chain[0] not in whole[:2]}
    run(left)  # goes on where a run was ended
    assert order == whole[2:]


def test_an_interrupt_stops_all_and_what_they_had_sent_is_heard() -> None:
    class Waiting(Pretending):
        def wait(self) -> Iterator[Ended]:
            raise KeyboardInterrupt

    heard: list[list[Sent]] = []
    executor = Waiting(2, set(), None)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        Schedule({("a",): frozenset(), ("b",): frozenset()}).carry_out(executor, heard.append, lambda: None)
    assert executor.stopped
    assert heard == [[("partly", "told")]] * 2


def test_the_progress_line_says_what_runs_where() -> None:
    schedule = Schedule({(f"c{number}",): frozenset() for number in range(9)})
    schedule.running = [(f"c{number}",) for number in range(4)]
    assert spread(schedule, {}, 0) == "0 running, 0 failed"
    hosts = {"c0": "north", "c1": "south", "c2": "north", "gone": "east"}
    assert spread(schedule, hosts, 2) == "3 running (north 2, south 1), 0 failed, 2 lost with their machine and begun again"
    many = {f"c{number}": f"host{number}" for number in range(9)}
    schedule.running = [(name,) for name in many]
    assert spread(schedule, many, 0) == "9 running (host0 1, host1 1, host2 1, host3 1, host4 1, …), 0 failed"
