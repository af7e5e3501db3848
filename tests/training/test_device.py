"""What every training process starts with."""

import subprocess
import sys

import pytest
import torch

from lib.params.section import ParamsError, read
from lib.training.device import Compute, prepare
from lib.training.sgd import Sgd, sgd
from lib.training.snapshot import part
from lib.training.tally import Tally
from tests.tiny import ROOT

SETTINGS = Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, decayed="all")
TRAINING = """
import sys, torch
from lib.training.device import Compute, prepare
from lib.training.ahsg import AHSG
from lib.training.sgd import Sgd, sgd
settings = {"device": "cpu", "threads": 1, "precision": "float32", "train_remaining": True, "processes": 1}
prepare(Compute(**settings, rendezvous=None, compile=False))
layer = torch.nn.Linear(2, 2)
optimizer = OPTIMIZER
for _ in range(2):
    optimizer.zero_grad()
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
OURS = {
    "sgd": f"sgd(list(layer.parameters()), {SETTINGS!r})",
    "ahsg": "AHSG(layer.parameters(), lr=0.1, variant='sgd', heavy_ball=0.1, momentum=0.9, weight_decay=0.0, nesterov=True)",
}


TRACING = """
import sys, torch
from lib.networks import build
from lib.networks.architecture import Architecture
build(Architecture("resnet8", 10, 3), torch.Generator()).filters()
print("torch._dynamo" in sys.modules)
"""


CODES = {"trace": TRACING} | {name: TRAINING.replace("OPTIMIZER", ours) for name, ours in OURS.items()}


@pytest.mark.parametrize("name", CODES)
def test_no_process_imports_the_compiler(name: str) -> None:
    """It takes more than a second, and a suite has hundreds of processes."""
    command = [sys.executable, "-c", CODES[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("threads", [0, 257, 10**9])
def test_a_number_of_threads_that_no_machine_has_is_refused(threads: int) -> None:
    compute = {
        "device": "cpu",
        "threads": threads,
        "precision": "float32",
        "train_remaining": True,
        "processes": 1,
        "rendezvous": None,
    }
    with pytest.raises(ParamsError, match=f"^compute.threads: is {threads}; input should be (greater|less) than or equal to"):
        read({"compute": compute}, "compute", Compute)


def test_float32_is_exact_on_a_gpu_too() -> None:
    """TF32 is on for cuDNN's convolutions unless told otherwise; the setting is there without a GPU as well."""
    prepare(
        Compute(
            device="cpu",
            threads=torch.get_num_threads(),
            precision="float32",
            train_remaining=True,
            processes=1,
            rendezvous=None,
            compile=False,
        )
    )
    assert not torch.backends.cuda.matmul.allow_tf32  # raises where the older and the newer switches disagree
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.conv.fp32_precision != "tf32"  # type: ignore[attr-defined]


def test_sgd_is_that_of_torch_bit_for_bit() -> None:
    ours, theirs = (torch.nn.Linear(7, 5) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    options = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4, "foreach": True}
    optimizers = (sgd(list(ours.parameters()), SETTINGS), torch.optim.SGD(theirs.parameters(), **options))
    for step in range(4):
        for layer, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            layer(torch.full((3, 7), 0.3 + step)).square().sum().backward()
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert optimizers[0].state_dict()["state"].keys() == optimizers[1].state_dict()["state"].keys()


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice of the device alone: there is no GPU here."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "3")
    for asked in ("cuda", "auto"):
        compute = Compute(
            asked, torch.get_num_threads(), "float32", train_remaining=True, processes=4, rendezvous=None, compile=False
        )  # type: ignore[arg-type]
        assert prepare(compute) == torch.device("cuda", 3)
    assert chosen == [torch.device("cuda", 3)] * 2


def test_a_state_within_an_epoch_knows_the_random_stream_of_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which states are taken and put back: dropout on a GPU draws from its own stream."""
    there, put = torch.arange(3, dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: there)
    monkeypatch.setattr(torch.cuda, "set_rng_state", put.append)
    before = torch.get_rng_state()
    saved = part(2, Tally(), torch.device("cuda", 0))
    torch.rand(3)
    saved.draw_on()
    assert torch.equal(torch.get_rng_state(), before)
    assert len(put) == 1
    assert put[0] is there
    assert len(part(2, Tally(), torch.device("cpu")).drawn) == 1
