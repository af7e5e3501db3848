"""Twelve digit cells over Ray nodes, whatever happens on the way: the bits are those of one stage after the other."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cluster.clone import clone, environment, results
from tests.cluster.nodes import Cluster, until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def folder(nodes: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite that was run serially, and over nodes while a driver and a node were killed in mid-training."""
    base = tmp_path_factory.mktemp("digits")
    many, command = clone(base / "many", base / "cache"), ("tools.cluster", "--address", nodes.address)
    with beginning(clone(base / "serial", base / "cache-of-serial"), "dvc", "repro", "--quiet") as serial:
        with beginning(many, *command):
            until(lambda: unfinished(base), 200)
        until(lambda: not nodes.stages(), 10)  # they end with the driver
        with beginning(many, *command) as driver:
            until(lambda: "guide@" in (many / "dvc.lock").read_text() and unfinished(base) and nodes.stages(), 400)
            stage = nodes.stages()[0]
            nodes.kill(next(name for name in ("one", "two") if nodes.holds(name, stage)))
            nodes.add("three")
            (base / "many.txt").write_text(finished(driver))
        finished(serial)
    return base


def unfinished(folder: Path) -> list[Path]:
    """The saved states of trainings that are at work on the nodes."""
    return [path for path in (folder / "cache/cells/scratch/resume").glob("*/*") if path.is_file()]


@contextmanager
def beginning(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A module of Python's that runs in a clone, and that is killed at the end."""
    state = environment(folder.parent / f"state-of-{folder.name}")
    command, out = [sys.executable, "-m", *words], subprocess.STDOUT
    with subprocess.Popen(command, cwd=folder, env=state, stdout=subprocess.PIPE, stderr=out, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(process: subprocess.Popen[str]) -> str:
    """What a process said, when it has ended well."""
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def test_lock_networks_and_metrics_are_those_of_a_serial_run(folder: Path) -> None:
    locks = [yaml.safe_load((folder / name / "dvc.lock").read_text())["stages"] for name in ("many", "serial")]
    assert len([name for name in locks[0] if name.startswith("measure@")]) == 12
    for lock in locks:
        for stage in ("latency", "tabulate"):  # both hold times
            del lock[stage]
    assert locks[0] == locks[1]
    many, serial = (results(folder / name) for name in ("many", "serial"))
    assert many.keys() == serial.keys()
    assert [name for name in many if many[name] != serial[name]] == []


def test_the_lost_machine_was_told_and_nothing_ran_here_but_the_last_stages(folder: Path) -> None:
    said = (folder / "many.txt").read_text()
    assert "lost with their machine and begun again" in said
    assert "runs again here" not in said
