"""`python -m tools.workers` on a small project of fake cells: as `dvc repro`, and more than one cell at once."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from bench.dvc_cost import STAGES, environment, project, run, workers
from tests.graph.test_workers import ended

WAITS = 'python -c \'import os, stages, time; open("{stage}.pid", "w").write(str(os.getpid())); time.sleep(60)\''


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two cells that was run once."""
    folder = tmp_path_factory.mktemp("ran")
    project(folder, 2)
    done = workers(folder)
    assert done.returncode == 0, done.stdout
    return folder


def dvc(folder: Path, *words: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *words).stdout


def results(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "models").iterdir()}


def begin(folder: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tools.workers", "--jobs", "2"]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, env=environment(folder), stderr=pipe, text=True, start_new_session=True)


def pid(path: Path) -> int:
    """The process that wrote its number, once it has."""
    for _ in range(400):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise TimeoutError(path)


def test_the_lock_and_the_results_are_those_of_dvc_repro(ran: Path, tmp_path: Path) -> None:
    project(tmp_path, 2)
    dvc(tmp_path, "repro", "--quiet")
    assert yaml.safe_load((ran / "dvc.lock").read_text()) == yaml.safe_load((tmp_path / "dvc.lock").read_text())
    assert results(ran) == results(tmp_path)


def test_a_second_run_does_nothing(ran: Path) -> None:
    before = (ran / "dvc.lock").read_bytes()
    assert workers(ran).stdout == "everything is up to date\n"
    assert (ran / "dvc.lock").read_bytes() == before


def test_what_was_computed_before_is_restored_and_not_run(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, found = (ran / "dvc.lock").read_bytes(), results(ran)
    (ran / "dvc.lock").unlink()
    shutil.rmtree(ran / "models")
    broken = ran / ".scratch/bin/cat"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    done = workers(ran)
    assert done.returncode == 0, done.stdout
    assert (ran / "dvc.lock").read_bytes() == lock
    assert results(ran) == found


def test_a_failing_cell_leaves_the_others_running_and_is_named(tmp_path: Path) -> None:
    project(tmp_path, 3, "if [ -e bad-{stage}-${{key}} ]; then echo 'error: no filters'; exit 3; fi; cat {deps} > {out}")
    (tmp_path / "bad-compact-l1-1").touch()
    done = workers(tmp_path)
    assert done.returncode == 1
    assert "error: 1 failed, 3 done\ncompact@l1-1 (.scratch/workers/prune@l1-1/log.txt): error: no filters" in done.stdout
    assert "not run, since they need what failed: encode@l1-1, measure@l1-1\n" in done.stdout
    assert "Traceback" not in done.stdout
    assert "distill@l1-1" in yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]
    assert {"measure-l1-0.txt", "measure-l1-2.txt"} <= results(tmp_path).keys()
    (tmp_path / "bad-compact-l1-1").unlink()
    done = workers(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 of 1 done" in done.stdout


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A project whose distill stages wait until a file `go` is there."""
    project(tmp_path, 2, f"if [ {{stage}} = distill -a ! -e go ]; then exec {WAITS}; fi; cat {{deps}} > {{out}}")
    return tmp_path


def test_no_jobs_at_all_are_refused(tmp_path: Path) -> None:
    project(tmp_path, 1)
    said = run(tmp_path, sys.executable, "-m", "tools.workers", "--jobs", "0").stdout
    assert said == "error: --jobs must be at least 1, got 0\n"


def test_what_a_stage_notes_is_told_once_above_the_line(tmp_path: Path) -> None:
    project(tmp_path, 1)
    graph = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    graph["stages"]["data"]["cmd"] += (
        " && printf 'at work: 1\\rnote: this\\033 is slow\\nnote: this is slow\\nno note: this\\n' >&2"
    )
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    said = workers(tmp_path).stdout
    assert said.count("this is slow") == 1
    assert said.index("note: this is slow\n") < said.index("cells: 1 of 1 done")
    assert "no note" not in said


def test_stages_die_with_a_killed_driver_and_the_next_run_goes_on(waiting: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        driver = begin(waiting)
        stage = pid(waiting / "distill.pid")
        driver.send_signal(number)
        driver.communicate()
        assert ended(stage)
        (waiting / "distill.pid").unlink()
    (waiting / "go").touch()
    done = workers(waiting)
    assert done.returncode == 0, done.stdout
    assert workers(waiting).stdout == "everything is up to date\n"


def test_ctrl_c_is_one_line_and_ends_the_stages(waiting: Path) -> None:
    driver = begin(waiting)
    stage = pid(waiting / "distill.pid")
    os.killpg(driver.pid, signal.SIGINT)
    _, told = driver.communicate()
    assert told.splitlines()[-1] == "interrupted; with the same command a training continues from its last finished epoch"
    assert "Traceback" not in told
    assert driver.returncode == 130
    assert ended(stage)
    kept = yaml.safe_load((waiting / "dvc.lock").read_text())["stages"]
    assert any(name.startswith("prune@") for name in kept)  # of the cell whose distillation began


def test_a_table_goes_on_where_its_networks_are_not(ran: Path, tmp_path: Path) -> None:
    """A seed more, from the lock alone: the cells of before are neither there nor made again."""
    project(tmp_path, 3)
    shutil.copy(ran / "dvc.lock", tmp_path)
    done = run(tmp_path, sys.executable, "-m", "tools.workers", "--jobs", "2", "--allow-missing")
    assert done.returncode == 0, done.stdout
    assert sorted(results(tmp_path)) == sorted(f"{name}-l1-2.txt" for name in STAGES)
    kept, lock = (yaml.safe_load((folder / "dvc.lock").read_text())["stages"] for folder in (ran, tmp_path))
    assert {name: lock[name] for name in kept} == kept
    assert len(lock) == len(kept) + len(STAGES)


def test_named_stages_run_with_what_they_need_and_no_others(tmp_path: Path) -> None:
    project(tmp_path, 2)
    graph = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    graph["stages"]["tabulate"] = {"cmd": "ls models > table.txt", "deps": ["models"], "outs": ["table.txt"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    words = [sys.executable, "-m", "tools.workers", "--jobs", "2"]
    for lax in ([], ["--allow-missing"]):
        assert "error: no stage is named 'encode@l2-*'; `dvc stage list" in run(tmp_path, *words, *lax, "encode@l2-*").stdout
        assert "and runs alone: dvc repro tabulate" in run(tmp_path, *words, *lax, "tabulate").stdout
    assert not (tmp_path / "data").exists()
    for names, made in (
        (["encode@l1-1", "prune@*-1"], ["encode-l1-1", "distill-l1-1", "prune-l1-1", "compact-l1-1"]),
        (["prune"], ["prune-l1-0"]),
    ):
        before = set(results(tmp_path)) if (tmp_path / "models").exists() else set()
        done = run(tmp_path, *words, *names)
        assert done.returncode == 0, done.stdout
        assert set(results(tmp_path)) - before == {f"{name}.txt" for name in made}
        assert run(tmp_path, *words, *names).stdout == "everything is up to date\n"
    assert not (tmp_path / "table.txt").exists()


def test_a_folder_of_networks_none_of_which_is_here_is_there_and_empty_for_the_last_stages(tmp_path: Path) -> None:
    project(tmp_path, 1)
    graph = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    graph["stages"]["latency"] = {"cmd": "ls models > latency.txt", "deps": ["models"], "outs": ["latency.txt"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    assert workers(tmp_path).returncode == 0
    assert (tmp_path / "latency.txt").read_text().splitlines() == sorted(results(tmp_path))
    shutil.rmtree(tmp_path / "models")
    shutil.rmtree(tmp_path / ".dvc/cache")
    graph["stages"]["latency"]["cmd"] = "ls -a models > latency.txt"
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    done = run(tmp_path, sys.executable, "-m", "tools.workers", "--jobs", "2", "--allow-missing")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "latency.txt").read_text() == ".\n..\n"


def test_what_is_missing_is_made_again_where_a_changed_stage_needs_it(ran: Path, tmp_path: Path) -> None:
    project(tmp_path, 2)
    shutil.copy(ran / "dvc.lock", tmp_path)
    graph = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    graph["stages"]["encode"]["matrix"]["seed"] = [1]
    graph["stages"]["encode"]["cmd"] += " && echo more >> models/encode-${key}.txt"
    graph["stages"]["measure"]["matrix"]["seed"] = [1]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    done = run(tmp_path, sys.executable, "-m", "tools.workers", "--jobs", "2", "--allow-missing")
    assert done.returncode == 0, done.stdout
    assert sorted(results(tmp_path)) == sorted(f"{name}-l1-1.txt" for name in STAGES)
    assert "more" in results(tmp_path)["measure-l1-1.txt"]


@pytest.mark.parametrize("name", ["prune", "encode"])
def test_a_file_that_is_here_and_is_not_the_one_of_the_lock_is_made_again(ran: Path, tmp_path: Path, name: str) -> None:
    project(tmp_path, 2)
    shutil.copy(ran / "dvc.lock", tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / f"models/{name}-l1-0.txt").write_text("of another time")
    done = run(tmp_path, sys.executable, "-m", "tools.workers", "--jobs", "2", "--allow-missing")
    assert done.returncode == 0, done.stdout
    made = results(tmp_path)
    assert {path: made[path] for path in made} == {path: results(ran)[path] for path in made}
    assert f"{name}-l1-0.txt" in made


def test_workers_take_turns_at_the_cache(tmp_path: Path) -> None:
    project(tmp_path, 2)
    cache = tmp_path / ".dvc/cache"
    cache.mkdir()
    with (cache / "turns.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        driver = begin(tmp_path)
        log = tmp_path / ".scratch/workers/data/log.txt"
        for _ in range(400):
            if log.exists():
                break
            time.sleep(0.05)
        time.sleep(1)
        assert not (tmp_path / "data/all.txt").exists()
    driver.communicate()
    assert driver.returncode == 0
    assert len(results(tmp_path)) == 10


def test_a_second_run_says_that_another_one_holds_the_repository(waiting: Path) -> None:
    driver = begin(waiting)
    pid(waiting / "distill.pid")
    second = workers(waiting)
    assert driver.poll() is None
    driver.kill()
    driver.communicate()
    assert second.returncode == 1
    assert "error: another `make repro` or DVC command is at work here and holds the repository" in second.stdout


def test_a_broken_lock_is_refused_and_kept(tmp_path: Path) -> None:
    project(tmp_path, 1)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n# a remark\nstages: {}\n")
    done = workers(tmp_path)
    assert done.stdout.startswith("error: dvc.lock: this line is not as DVC writes it: '# a remark'")
    assert "a remark" in (tmp_path / "dvc.lock").read_text()


def test_what_goes_wrong_in_the_last_stages_is_told(tmp_path: Path) -> None:
    project(tmp_path, 1)
    graph = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    graph["stages"]["tabulate"] = {"cmd": "true", "deps": ["models/measure-l1-0.txt"], "outs": ["table.txt"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    done = workers(tmp_path)
    assert done.returncode != 0
    assert "failed to reproduce 'tabulate': output 'table.txt' does not exist" in done.stdout
    assert "Running stage" not in done.stdout


def test_a_pipeline_that_dvc_cannot_read_is_one_message(tmp_path: Path) -> None:
    project(tmp_path, 1)
    (tmp_path / "dvc.yaml").write_text("stages: [")
    done = workers(tmp_path)
    assert done.returncode == 1
    assert "error: DVC cannot read the pipeline: " in done.stdout
    assert "Traceback" not in done.stdout
