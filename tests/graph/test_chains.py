import threading

import pytest

from lib.graph.chains import Chain, affected, chains, run_all

GRAPH = {
    "data": frozenset[str](),
    "teacher": frozenset({"data"}),
    "prune": frozenset({"data", "teacher"}),
    "distill-a": frozenset({"data", "teacher", "prune"}),
    "compact-a": frozenset({"data", "distill-a"}),
    "distill-b": frozenset({"data", "teacher", "prune"}),
    "compact-b": frozenset({"data", "distill-b"}),
}


def test_affected_are_the_stale_and_all_behind_them() -> None:
    assert affected(GRAPH, ["distill-a"]) == {"distill-a", "compact-a"}
    assert affected(GRAPH, ["prune"]) == {"prune", "distill-a", "compact-a", "distill-b", "compact-b"}
    assert affected(GRAPH, ["not there"]) == set()


def test_what_only_continues_one_other_joins_its_chain() -> None:
    found = chains(GRAPH, set(GRAPH))
    assert set(found) == {("data",), ("teacher",), ("prune",), ("distill-a", "compact-a"), ("distill-b", "compact-b")} or set(
        found
    ) == {("data", "teacher", "prune"), ("distill-a", "compact-a"), ("distill-b", "compact-b")}
    assert sorted(node for chain in found for node in chain) == sorted(GRAPH)


def test_what_is_needed_on_the_way_breaks_no_chain() -> None:
    graph = {"data": frozenset[str](), "compact": frozenset({"data"}), "encode": frozenset({"data", "compact"})}
    graph |= {"measure": frozenset({"data", "compact", "encode"}), "other": frozenset({"data"})}
    found = chains(graph, set(graph))
    assert found == {
        ("data",): frozenset(),
        ("compact", "encode", "measure"): frozenset({"data"}),
        ("other",): frozenset({"data"}),
    }


def test_chains_need_only_what_is_wanted() -> None:
    assert chains(GRAPH, {"distill-a", "compact-a"}) == {("distill-a", "compact-a"): frozenset()}


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_every_chain_runs_once_and_after_what_it_needs(jobs: int) -> None:
    done: list[str] = []
    lock = threading.Lock()

    def run(chain: Chain) -> None:
        with lock:
            for node in chain:
                assert GRAPH[node] <= set(done), node
                done.append(node)

    run_all(chains(GRAPH, set(GRAPH)), run, jobs)
    assert sorted(done) == sorted(GRAPH)


def test_no_more_run_at_once_than_asked_for() -> None:
    running, most = 0, 0
    lock, gate = threading.Lock(), threading.Barrier(2, timeout=10)

    def run(_: Chain) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait()
        with lock:
            running -= 1

    run_all({(str(index),): frozenset() for index in range(4)}, run, 2)
    assert most == 2


def test_a_failure_starts_nothing_new_and_is_raised() -> None:
    started = []

    def run(chain: Chain) -> None:
        started.append(chain)
        if chain == ("a",):
            msg = "a broke"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="a broke"):
        run_all({("a",): frozenset(), ("b",): frozenset({"a"})}, run, 1)
    assert started == [("a",)]
