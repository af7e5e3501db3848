"""Chains in processes of their own: every one once, after what it needs, and a failure harms only what needs it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.atomic import write_text
from lib.graph import workers
from lib.graph.chains import Chain
from lib.graph.report import failures, state
from lib.graph.workers import Running, Send, Sent

A, B, C, D = ("a1", "a2"), ("b",), ("c",), ("d",)
TODO: dict[Chain, frozenset[Chain]] = {A: frozenset(), B: frozenset({A}), C: frozenset({A}), D: frozenset({B, C})}


def finish(chain: Chain, _: Path, send: Send) -> None:
    for node in chain:
        send((node, node.upper()))


def run(todo: dict[Chain, frozenset[Chain]], work: object, folder: Path, jobs: int = 2) -> tuple[Running, list[list[Sent]]]:
    heard: list[list[Sent]] = []
    running = Running(todo, work, folder)  # type: ignore[arg-type]
    running.run(jobs, heard.append, lambda: None)
    return running, heard


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_every_chain_runs_once_and_after_what_it_needs(tmp_path: Path, jobs: int) -> None:
    done, heard = run(TODO, finish, tmp_path, jobs)
    assert sorted(done.done) == sorted(TODO)
    assert heard[0] == [("a1", "A1"), ("a2", "A2")]
    assert heard[-1] == [("d", "D")]
    assert not done.failed
    assert not done.waiting
    assert state(done) == "0 running, 0 failed"


def test_no_more_run_at_once_than_asked_for(tmp_path: Path) -> None:
    many: dict[Chain, frozenset[Chain]] = {(str(index),): frozenset() for index in range(5)}
    most: list[int] = []
    running = Running(many, lambda *_: time.sleep(0.05), tmp_path)
    running.run(2, lambda _: None, lambda: most.append(len(running.running)))
    assert max(most) == 2
    assert len(running.done) == 5


def test_the_time_is_told_while_nothing_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TICK", 0.05)
    told: list[int] = []
    running = Running({A: frozenset()}, lambda *_: time.sleep(1.0), tmp_path)
    running.run(1, lambda _: None, lambda: told.append(len(running.running)))
    assert told.count(1) >= 5


def break_b(chain: Chain, _: Path, send: Send) -> None:
    if chain == B:
        sys.stderr.write("step 1\nerror: layer conv1: \x1b[31mno filters left\n")
        sys.exit("b: the command failed")
    finish(chain, _, send)


def test_a_failure_leaves_the_others_running_and_says_what_was_not_run(tmp_path: Path) -> None:
    done, _ = run(TODO, break_b, tmp_path, 1)
    assert (done.done, done.failed, done.waiting) == ([A, C], {B: "b"}, [D])
    told = failures(done, tmp_path)
    assert told.startswith(f"1 failed, 2 done\nb ({tmp_path / 'b/log.txt'}): error: layer conv1: [31mno filters left\n")
    assert "not run, since they need what failed: d\n" in told


def kill_after_a1(chain: Chain, folder: Path, send: Send) -> None:
    send((chain[0], "told"))
    (folder / "child").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_fails_its_chain_at_the_right_node_and_leaves_no_process(tmp_path: Path) -> None:
    done, heard = run(TODO, kill_after_a1, tmp_path)
    assert done.failed == {A: "a2"}
    assert heard == [[("a1", "told")]]
    assert "a2 (" in failures(done, tmp_path)
    assert "it was killed" in failures(done, tmp_path)
    assert ended(int((tmp_path / "a1/child").read_text()))


def test_an_interrupt_ends_all_and_loses_nothing_that_was_sent(tmp_path: Path) -> None:
    def work(chain: Chain, folder: Path, send: Send) -> None:
        send((chain[0], "told"))
        write_text(folder / "child", str(subprocess.Popen(["sleep", "60"]).pid))
        time.sleep(60)

    heard: list[list[Sent]] = []
    rounds = 0

    def interrupt() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:  # the first message has come
            while not (tmp_path / "a1/child").exists():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Running(TODO, work, tmp_path).run(1, heard.append, interrupt)
    assert heard == [[("a1", "told")]]
    assert ended(int((tmp_path / "a1/child").read_text()))


def test_what_was_sent_is_heard_though_an_interrupt_comes_before_it_was_received(tmp_path: Path) -> None:
    sent, heard = tmp_path / "sent", list[list[Sent]]()

    def work(chain: Chain, _: Path, send: Send) -> None:
        send((chain[0], "done"))
        sent.touch()
        time.sleep(60)

    def interrupt() -> None:
        for _ in range(400):
            if sent.exists():
                raise KeyboardInterrupt
            time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        Running({A: frozenset()}, work, tmp_path / "logs").run(1, heard.append, interrupt)
    assert heard == [[("a1", "done")]]


def test_long_lists_of_failures_are_cut(tmp_path: Path) -> None:
    many: dict[Chain, frozenset[Chain]] = {(f"cell{index}", f"after{index}"): frozenset() for index in range(9)}

    def work(chain: Chain, *_: object) -> None:
        sys.exit(f"error: {'x' * 5000}")

    done, _ = run(many, work, tmp_path)
    told = failures(done, tmp_path)
    assert "and 4 more" in told
    assert len(told) < 12_000


def test_a_worker_that_left_no_log_is_told_with_the_others(tmp_path: Path) -> None:
    def work(chain: Chain, *_: object) -> None:
        sys.exit(1)

    done, _ = run({A: frozenset()}, work, tmp_path)
    shutil.rmtree(tmp_path)
    assert "): it was killed" in failures(done, tmp_path)


def ended(pid: int) -> bool:
    """Whether a process ends within seconds (one that ended and that nobody has waited for counts)."""
    for _ in range(100):
        status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
        if not status.strip() or status.startswith("Z"):
            return True
        time.sleep(0.05)
    return False
