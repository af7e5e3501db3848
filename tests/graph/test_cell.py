"""What a task does on its machine, without Ray: run a chain in a copy of its own, or say why it may not."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bench.dvc_cost import environment, project, run
from lib.graph.cell import Job, run_chain
from lib.graph.environment import Environment, here
from lib.graph.locks import entries
from lib.graph.shared import Shared, sharing

CHAIN = tuple(f"{stage}@l1-0" for stage in ("prune", "distill", "compact", "encode", "measure"))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """A project whose data are made, as the current folder, and a job for its cells."""
    clone = tmp_path / "clone"
    clone.mkdir()
    project(clone, 2, "if [ -e bad-{stage} ]; then echo 'error: no filters'; exit 3; fi; cat {deps} > {out}")
    (clone / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/cache\n")
    (clone / "requirements.lock").write_text("torch==1\n")
    assert run(clone, sys.executable, "-m", "dvc", "repro", "--quiet", "data").returncode == 0
    for name, value in (environment(clone) | {"TMPDIR": str(tmp_path / "place")}).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "place").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(clone)
    with sharing(tmp_path / "cache", clone) as shared:
        yield Job(shared, here(Path("requirements.lock")), "requirements.lock", "cpu", 1)


def test_a_chain_runs_in_a_copy_and_gives_back_its_entries(job: Job, tmp_path: Path) -> None:
    found = run_chain(job, CHAIN, Path("dvc.lock").read_text())
    assert (found.good, found.refused) == (True, ""), found.log
    assert [name for name, _ in found.sent] == list(CHAIN)
    for name, text in found.sent:
        assert list(entries(text)) == [name]
    assert not Path("models").exists()
    assert list((tmp_path / "place").glob("cells-*/*")) == []
    assert job.shared.scratch.joinpath("resume").is_dir()
    assert job.shared.scratch.joinpath("downloads", os.uname().nodename).is_dir()
    assert run(Path(), sys.executable, "-m", "dvc", "repro", *CHAIN).stdout.count("is cached - skipping run") == len(CHAIN)
    written = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    assert {name: yaml.safe_load(text)["stages"][name] for name, text in found.sent} == {name: written[name] for name in CHAIN}


def test_a_failing_stage_is_told_with_what_was_finished(job: Job) -> None:
    Path("bad-compact").touch()
    found = run_chain(job, CHAIN, Path("dvc.lock").read_text())
    assert (found.good, found.refused) == (False, "")
    assert [name for name, _ in found.sent] == list(CHAIN[:2])
    assert "error: no filters" in found.log


def test_a_machine_that_does_not_see_the_folder_is_refused(job: Job, tmp_path: Path) -> None:
    found = run_chain(replace(job, shared=Shared(tmp_path / "elsewhere", job.shared.run)), CHAIN, "")
    assert not found.good
    assert (
        f"does not see the driver's {tmp_path}/elsewhere: all machines must share one folder as DVC's cache" in found.refused
    )
    assert not (tmp_path / "elsewhere").exists()


def test_a_machine_that_cannot_lay_out_the_tree_is_refused(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    found = run_chain(job, CHAIN, "")
    assert not found.good
    assert " cannot run cells: [Errno 20] Not a directory" in found.refused


def test_a_temporary_folder_that_others_may_write_to_is_not_used(job: Job, tmp_path: Path) -> None:
    open_to_all = tmp_path / f"place/cells-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    found = run_chain(job, CHAIN, "")
    assert not found.good
    assert (
        f"cannot run cells: {open_to_all} is open to others; remove it, or set TMPDIR to a folder of your own" in found.refused
    )
    assert not list(open_to_all.iterdir())


def test_a_machine_with_other_versions_is_refused(job: Job) -> None:
    found = run_chain(replace(job, environment=Environment("2.7", {"torch": "0.1"})), CHAIN, "")
    assert not found.good
    assert "has another environment: Python is 3." in found.refused
    assert "install the same versions on all machines: pip install --constraint requirements.lock" in found.refused


def test_a_machine_with_another_gpu_is_refused(job: Job) -> None:
    job.shared.settled("gpu", "a GPU of 2031")
    found = run_chain(replace(job, device="auto"), CHAIN, Path("dvc.lock").read_text())
    assert not found.good
    assert "the first cell of this run had a GPU of 2031; take machines with one type of GPU" in found.refused
    assert found.sent == []
