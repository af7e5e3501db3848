"""Several processes train as one would, with every term and method; where one is killed, all end, and the training goes on."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.network import Network
from lib.params.section import ParamsError, read
from lib.training import launching
from lib.training.device import Compute
from lib.training.epochs import problems_of_sizes
from lib.training.launching import CURE
from lib.training.processes import PLAIN
from lib.training.schedules import Constant
from lib.training.stepping import unshareable
from tests import tiny
from tests.together import METHODS, TERMS

TOLERANCE = {"method kdfs": 1e-5}  # its odds are float32; all others are float64
NAMES = [f"term {name}" for name in TERMS] + [f"method {name}" for name in METHODS]

Outcome = dict[str, dict[str, torch.Tensor]]


def _run(words: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=tiny.ROOT, env=environment, capture_output=True, text=True, check=False, **more)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, list[Outcome]]:
    """Of one process, and of each of two."""
    folder = tmp_path_factory.mktemp("together")
    for processes in (1, 2):
        done = _run([sys.executable, "-m", "tests.together", str(folder), str(processes)])
        assert done.returncode == 0, done.stderr
    alone, *both = (torch.load(folder / name) for name in ("1-0.pt", "2-0.pt", "2-1.pt"))
    return alone, both


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_where_one_does(outcomes: tuple[Outcome, list[Outcome]], name: str) -> None:
    alone, both = outcomes
    for own in both:
        assert own[name].keys() == alone[name].keys()
        for key, value in alone[name].items():
            wanted, found = value.double(), own[name][key].double()
            bound = TOLERANCE.get(name, 1e-9)
            assert torch.allclose(found, wanted, rtol=bound, atol=bound), key
            assert torch.equal(own[name][key], both[0][name][key])  # in all processes the same bits


def test_masks_and_a_smaller_loss_are_among_what_is_compared(outcomes: tuple[Outcome, list[Outcome]]) -> None:
    alone, _ = outcomes
    for name in ("l1", "fpgm", "ahsg_ht", "kdfs"):
        found = alone[f"method {name}"]
        masks = [value for key, value in found.items() if key.startswith("mask ")]
        assert masks
        assert any(not bool(mask.all()) for mask in masks)
        assert float(found["row 2 loss"]) < float(found["row 0 loss"])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits and the parameters of a training of 25 steps by two processes."""
    folder = tmp_path_factory.mktemp("killed")
    tiny.digits(folder)
    batches = {"kind": "constant", "size": 300, "last": "merge"}
    changes = {"teacher__batches": batches, "teacher__epochs": 5}  # long enough for a slow look to come in time
    document = tiny.document(compute__processes=2, running__resume_every=1, **changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture(scope="module")
def training(prepared: Path) -> Path:
    """The same with what it ends in, in `alone`."""
    assert _run(command(prepared, "alone")).returncode == 0
    return prepared


def command(folder: Path, own: str) -> list[str]:
    """Stage train_teacher of a folder, with results and states of its own."""
    words = f"-m stages.train_teacher --network resnet8 --seed 0 --data {folder}/digits --params {folder}/params.yaml"
    place = folder / own
    return [sys.executable, *words.split(), *f"--resume-dir {place}/s --out {place}/o.safetensors --log {place}/o.csv".split()]


def killed(folder: Path, own: str, process: int, states: int) -> subprocess.CompletedProcess[str]:
    """Start the training, and kill one of its processes when so many states were saved."""
    with subprocess.Popen(command(folder, own), cwd=tiny.ROOT, stderr=subprocess.PIPE, text=True) as stage:
        seen: set[int] = set()
        while stage.poll() is None and (len(seen) < states or not _processes(stage.pid)):
            with suppress(FileNotFoundError):  # it was replaced meanwhile
                seen |= {path.stat().st_mtime_ns for path in (folder / own).glob("s/*/state.pt")}
        os.kill(_processes(stage.pid)[process], signal.SIGKILL)
        assert stage.stderr is not None
        return subprocess.CompletedProcess(stage.args, stage.wait(), "", stage.stderr.read())


def _processes(launcher: int) -> dict[int, int]:
    """The ids of those that a launcher has started, by number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ends meanwhile, or is somebody else's
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            entries = (folder / "environ").read_bytes().split(b"\0") if parent == launcher else []
            found |= {int(entry[5:]): int(folder.name) for entry in entries if entry.startswith(b"RANK=")}
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which process is which")
@pytest.mark.parametrize(("process", "states"), [(0, 3), (1, 6)])
def test_a_killed_process_ends_all_with_one_message_and_the_training_goes_on_to_the_same_bits(
    training: Path, process: int, states: int
) -> None:
    own = f"killed-{process}-{states}"
    done = killed(training, own, process, states)
    told = [line for line in done.stderr.replace("\r", "\n").splitlines() if line and "step/s" not in line]
    assert told == [f"error: process {process + 1} of 2 was ended by SIGKILL; {CURE}"]
    assert done.returncode == 1
    again = _run(command(training, own))
    assert again.returncode == 0, again.stderr
    assert "train resnet8 seed 0:   0%" not in again.stderr  # it did not begin anew
    for name in ("o.safetensors", "o.csv"):
        assert (training / own / name).read_bytes() == (training / "alone" / name).read_bytes()


def test_what_all_processes_refuse_is_told_once(prepared: Path) -> None:
    document = yaml.safe_load((prepared / "params.yaml").read_text())
    document["teacher"]["lr"] = 100.0
    document["teacher"]["weight_decay"] = 1.0
    (prepared / "wrong.yaml").write_text(yaml.safe_dump(document))
    words = [word.replace("params.yaml", "wrong.yaml") for word in command(prepared, "wrong")]
    done = _run(words)
    assert done.returncode == 1
    assert done.stderr.count("error: the loss is") == done.stderr.count("error:") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_a_training_by_another_number_of_processes_than_its_settings_say_is_refused(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")  # as some schedulers set it; the stage then starts no others
    done = _run(command(prepared, "other"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: compute.processes is 2, and 1 were started; start as many, or unset RANK")


def test_processes_that_lose_one_another_though_none_was_ended_tell_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RuntimeError("Gloo connectFullMesh failed with [gloo/transport/tcp/pair.cc:152] timed out\nmore")
    assert not launching.lost_the_others(error)  # by hand under torchrun: nobody would tell it
    monkeypatch.setenv(launching.REASON, str(tmp_path / "lost.txt"))
    assert not launching.lost_the_others(RuntimeError("shapes differ"))
    assert launching.lost_the_others(error)
    failures = {rank: ProcessFailure(rank, 1, launching.LOST, "<N/A>") for rank in (0, 1)}
    assert launching._told(failures, 2, tmp_path) == launching.LOST
    said = "Gloo connectFullMesh failed with [gloo/transport/tcp/pair.cc:152] timed out"
    assert capsys.readouterr().err == f"\nerror: the processes lost one another ({said}); {CURE}\n"


def test_mini_batches_of_fewer_images_than_processes_are_refused_by_key() -> None:
    schedule = Constant(kind="constant", size=8, last="keep")
    assert problems_of_sizes(schedule, 19, 1, "teacher.batches", 3) == []
    (problem,) = problems_of_sizes(schedule, 18, 1, "teacher.batches", 3)
    assert problem.startswith(
        "teacher.batches: mini-batch 3 of epoch 1 has 2 images for 3 processes; use larger ones or fewer"
    )


class Own(nn.BatchNorm2d):
    """A batch norm that does something of its own."""


class Called(nn.Module):
    """A batch norm called as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        norm = self.norm
        seen = nn.functional.batch_norm(
            self.conv(images), norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training
        )
        logits: torch.Tensor = self.head(seen.relu().mean((2, 3)))
        return logits


def own_kind(num_classes: int, in_channels: int) -> nn.Module:
    layers = [nn.Conv2d(in_channels, 4, 3), Own(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, num_classes))


def called(num_classes: int, in_channels: int) -> nn.Module:
    return Called()


@pytest.mark.parametrize(
    ("builder", "reason"),
    [("own_kind", "1 is a Own, a batch norm that would see"), ("called", "norm is called as a function")],
)
def test_batch_norms_that_cannot_be_shared_are_refused_by_name(builder: str, reason: str) -> None:
    name = f"{__name__}:{builder}"
    allow([name])
    module = globals()[builder](10, 3)
    assert reason in unshareable(Network(module, Architecture(name, 10, 3, (8, 8))))
    assert {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d} == set(PLAIN)


def test_machines_share_processes_evenly() -> None:
    compute = tiny.document()["compute"] | {"processes": 3, "rendezvous": {"endpoint": "one:29500", "nodes": 2, "id": "a"}}
    with pytest.raises(ParamsError, match="processes is 3, which 2 machines cannot share evenly; make it a multiple"):
        read({"compute": compute}, "compute", Compute)
    shared = read({"compute": compute | {"processes": 4}}, "compute", Compute)
    assert shared.decisive == read({"compute": compute | {"processes": 4, "rendezvous": None}}, "compute", Compute)
