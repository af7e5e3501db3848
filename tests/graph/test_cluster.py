"""Tasks of Ray's, with a Ray that is made up: what is begun again, what is not, and the messages."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib.graph.cell import Job, Outcome
from lib.graph.cluster import LOSSES, LOST_MOST, Tasks, connected, too_large
from lib.graph.environment import Environment
from lib.graph.schedule import Schedule, Sent
from lib.graph.shared import Shared

CHAIN = ("a", "b")
ERRORS = {name: type(name, (Exception,), {"cause": None}) for name in LOSSES}
JOB = Job(Shared(Path("cache"), "run"), Environment("", {}), "requirements.lock", "cpu", 1)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A Ray whose tasks do what `answers` says, one after the other: an Outcome, or an exception."""
    found = SimpleNamespace(exceptions=SimpleNamespace(**ERRORS), answers=[], started=[], cancelled=[])

    def start(*given: Any) -> int:
        found.started.append(given)
        return len(found.started) - 1

    def get(reference: int) -> Outcome:
        if isinstance(answer := found.answers[reference], Exception):
            raise answer
        return answer

    found.remote = lambda **_: lambda _: SimpleNamespace(remote=start)
    found.wait = lambda references, **_: (references[:1], references[1:])
    found.get = get
    found.cancel = lambda reference, **_: found.cancelled.append(reference)
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


def carry_out(ray: SimpleNamespace, folder: Path) -> tuple[Schedule, list[list[Sent]], Tasks]:
    schedule, heard = Schedule({CHAIN: frozenset()}), list[list[Sent]]()
    tasks = Tasks(JOB, lambda chain: f"lock of {chain[0]}", {"num_cpus": 1}, folder)
    schedule.carry_out(tasks, heard.append, lambda: None)
    return schedule, heard, tasks


@pytest.mark.parametrize("name", LOSSES)
def test_a_chain_is_begun_again_when_its_machine_is_lost(ray: SimpleNamespace, tmp_path: Path, name: str) -> None:
    ray.answers = [ERRORS[name](), Outcome(True, [("a", "x"), ("b", "y")], "fine", "")]
    schedule, heard, tasks = carry_out(ray, tmp_path)
    assert schedule.done == [CHAIN]
    assert heard == [[("a", "x"), ("b", "y")]]
    assert ray.started == [(JOB, CHAIN, "lock of a")] * 2
    assert tasks.lost.total() == 1
    assert (tmp_path / "a/log.txt").read_text() == "fine"


def test_a_chain_that_loses_every_machine_fails(ray: SimpleNamespace, tmp_path: Path) -> None:
    ray.answers = [ERRORS["OutOfMemoryError"]("memory was full")] * LOST_MOST
    schedule, _, _ = carry_out(ray, tmp_path)
    assert schedule.failed == {CHAIN: "a"}
    assert "error: its machine was lost 5 times; the last time: memory was full" in (tmp_path / "a/log.txt").read_text()


def test_an_error_of_its_own_fails_a_chain_at_once(ray: SimpleNamespace, tmp_path: Path) -> None:
    ray.answers = [Outcome(False, [("a", "x")], "error: no filters", "")]
    schedule, heard, _ = carry_out(ray, tmp_path)
    assert schedule.failed == {CHAIN: "b"}
    assert heard == [[("a", "x")]]
    assert len(ray.started) == 1
    assert (tmp_path / "a/log.txt").read_text() == "error: no filters"


def test_a_machine_that_may_run_nothing_ends_the_run(ray: SimpleNamespace, tmp_path: Path) -> None:
    ray.answers = [Outcome(False, [], "", "north has no cache"), None]
    schedule = Schedule({CHAIN: frozenset(), ("c",): frozenset()})
    tasks = Tasks(JOB, str, {}, tmp_path)
    with pytest.raises(ValueError, match=r"^north has no cache; nothing that was finished is lost"):
        schedule.carry_out(tasks, lambda _: None, lambda: None)
    assert ray.cancelled == [1]


def test_what_no_machine_can_run_is_told(ray: SimpleNamespace) -> None:
    ray.nodes = lambda: [
        {"Alive": True, "Resources": {"CPU": 4}},
        {"Alive": True, "Resources": {"CPU": 2, "GPU": 1}},
        {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}},
    ]
    assert too_large({"num_cpus": 4, "num_gpus": 0}) == ""
    assert too_large({"num_cpus": 2, "num_gpus": 0.25}) == ""
    assert too_large({"num_cpus": 4, "num_gpus": 0.5}) == (
        "no machine of the cluster has 4 CPU and 0.5 GPU now; the cells wait for one that has"
    )


def connect(address: str) -> None:
    with connected(address, Path(), Path("unused")):
        pass


def test_without_ray_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="needs Ray, which is not installed; install it: pip install --group cluster"):
        connect("127.0.0.1:6379")


@pytest.mark.parametrize("address", ["", "auto", "127.0.0.1", "host:", "ray://host:1", "host:123456", "a b:1"])
def test_an_address_is_a_host_and_a_port(ray: SimpleNamespace, address: str) -> None:
    with pytest.raises(ValueError, match="it must be HOST:PORT, as `ray start --head` tells it"):
        connect(address)


def test_where_nobody_answers_there_is_no_cluster(ray: SimpleNamespace) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ValueError, match=rf"there is no Ray cluster at {address} .*`ray start --head --port"):
            connect(address)


@pytest.fixture
def answering() -> Iterator[str]:
    """An address where something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("error", [ConnectionError("no raylet"), RuntimeError("Version mismatch")])
def test_a_cluster_that_does_not_take_us_is_one_message(ray: SimpleNamespace, answering: str, error: Exception) -> None:
    def refuse(**_: Any) -> None:
        raise error

    ray.init = refuse
    with pytest.raises(ValueError, match=rf"{answering}: {error}; this machine must be a node of the cluster"):
        connect(answering)


def test_a_connection_names_the_dashboard_keeps_rays_words_and_is_closed(
    ray: SimpleNamespace, answering: str, tmp_path: Path
) -> None:
    closed: list[bool] = []
    ray.init = lambda **_: SimpleNamespace(dashboard_url="host:8265")
    ray.shutdown = lambda: closed.append(True)
    with connected(answering, Path(), tmp_path / "logs/ray.txt") as dashboard:
        sys.stdout.write("(raylet) dump\n")
        assert (dashboard, closed) == ("host:8265", [])
    assert (tmp_path / "logs/ray.txt").read_text() == "(raylet) dump\n"
    assert closed == [True]
