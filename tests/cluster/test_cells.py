"""`python -m tools.cluster` on a small project of fake cells, over three Ray nodes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.dvc_cost import environment, project, run
from tests.cluster.nodes import Cluster, until
from tests.graph.test_workers import ended
from tests.tools.test_workers import pid, results

pytestmark = pytest.mark.cluster

WAITS = 'python -c \'import os, stages, time; open("{folder}/pid", "w").write(str(os.getpid())); time.sleep(60)\''


def prepare(folder: Path, cells: int, command: str) -> Path:
    """The project, with a stage `check` and a cache outside of it."""
    clone = folder / "clone"
    clone.mkdir(parents=True)
    project(clone, cells, command)
    graph = yaml.safe_load((clone / "dvc.yaml").read_text())
    check = {"cmd": "mkdir -p data && echo good > data/checked.txt", "deps": ["params.yaml"], "outs": ["data/checked.txt"]}
    (clone / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"check": check, **graph["stages"]}}, sort_keys=False))
    (clone / "requirements.lock").write_text("")
    (clone / ".dvc/config.local").write_text(f"[cache]\n    dir = {folder}/cache\n")
    return clone


def command(nodes: Cluster, *more: str) -> list[str]:
    return [sys.executable, "-m", "tools.cluster", "--address", nodes.address, *more]


def begin(nodes: Cluster, clone: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command(nodes), cwd=clone, env=environment(clone), stderr=pipe, text=True, start_new_session=True)


def test_a_failing_cell_leaves_the_others_running_is_named_and_runs_once(nodes: Cluster, tmp_path: Path) -> None:
    told = f"echo on GPU $CUDA_VISIBLE_DEVICES >> {tmp_path}/ran; echo 'error: no filters'"
    work = f"if [ -e bad-{{stage}}-${{{{key}}}} ]; then {told}; exit 3; fi; cat {{deps}} > {{out}}"
    clone = prepare(tmp_path, 3, work)
    (clone / "bad-compact-l1-1").touch()
    done = run(clone, *command(nodes, "--cpus-per-cell", "0.5", "--gpus-per-cell", "0.25"))
    assert done.returncode == 1
    assert "error: 1 failed, 3 done\ncompact@l1-1 (.scratch/cluster/prune@l1-1/log.txt): error: no filters" in done.stdout
    assert "not run, since they need what failed: encode@l1-1, measure@l1-1\n" in done.stdout
    assert "Traceback" not in done.stdout
    assert (tmp_path / "ran").read_text() == "on GPU 0\n"  # once, and two cells of a node share its only one
    assert "distill@l1-1" in yaml.safe_load((clone / "dvc.lock").read_text())["stages"]
    assert {"measure-l1-0.txt", "measure-l1-2.txt"} <= results(clone).keys()
    (clone / "bad-compact-l1-1").unlink()
    done = run(clone, *command(nodes))
    assert done.returncode == 0, done.stdout
    assert "1 of 1 done" in done.stdout
    serial = prepare(tmp_path / "serial", 3, work)
    assert run(serial, sys.executable, "-m", "dvc", "repro", "--quiet").returncode == 0
    assert yaml.safe_load((clone / "dvc.lock").read_text()) == yaml.safe_load((serial / "dvc.lock").read_text())
    assert results(clone) == results(serial)


def test_tasks_end_with_their_driver_and_a_lost_machine_is_replaced(nodes: Cluster, tmp_path: Path) -> None:
    waits = WAITS.format(folder=tmp_path)
    clone = prepare(
        tmp_path, 1, f"if [ {{stage}} = distill -a ! -e {tmp_path}/go ]; then exec {waits}; fi; cat {{deps}} > {{out}}"
    )
    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        driver = begin(nodes, clone)
        stage = pid(tmp_path / "pid")
        os.kill(driver.pid, number)
        _, said = driver.communicate()
        assert driver.returncode == status
        assert ended(stage)
        (tmp_path / "pid").unlink()
    assert said.splitlines()[-1] == "interrupted; with the same command a training continues from its last finished epoch"
    assert "Traceback" not in said
    driver = begin(nodes, clone)
    stage = pid(tmp_path / "pid")
    (lost,) = (name for name in ("one", "two") if nodes.holds(name, stage))
    nodes.kill(lost)
    (tmp_path / "go").touch()
    _, said = driver.communicate()
    assert driver.returncode == 0, said
    assert "1 of 1 done" in said
    assert "1 lost with their machine and begun again" in said
    (kept,) = {"one", "two"} - {lost}
    until(lambda: not list(nodes.place(kept).glob("cells-*/*")), 10)  # what killed tasks left is gone
