"""Compiled trainings: the same losses but for rounding, the same bits again, and hooks that are never passed over."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.formats.checkpoint import load
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.section import ParamsError, read
from lib.randomness import stream
from lib.steps.train_teacher import teach
from lib.training import device
from lib.training.device import Compute, prepare
from lib.training.emulation import Emulated
from lib.training.taps import Tapped
from tests import tiny

FIXED = {"device": "cpu", "threads": 1, "precision": "float32", "train_remaining": True, "rendezvous": None}
COMPILING: dict[str, Any] = {"compute__compile": True, "teacher__batches": {"kind": "constant", "size": 64, "last": "merge"}}

pytestmark = pytest.mark.filterwarnings("default")  # torch's compiler has warnings of its own


def _network() -> Network:
    return build(Architecture("resnet8", 10, 1), stream(0, "initialisation")).train()


def test_a_compiled_network_computes_the_same_and_differentiates_the_same() -> None:
    images = torch.randn(64, 1, 8, 8, generator=stream(0, "images"))
    plain, compiled = Tapped(_network()), Tapped(_network())
    compiled.compile_(64)  # as the trainings below, which then find it compiled
    assert compiled.compiled is not None
    gradients = []
    for tapped in (plain, compiled):
        logits = tapped(images).logits
        logits.square().mean().backward()
        gradients.append([parameter.grad for parameter in tapped.network.parameters()])
        gradients[-1].append(logits.detach())
    for one, two in zip(*gradients, strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-5)
    assert torch.allclose(plain.network.state_dict()["bn1.running_mean"], compiled.network.state_dict()["bn1.running_mean"])


@pytest.mark.slow
def test_a_compiled_network_in_emulated_bfloat16_is_as_near_to_float32_as_one_that_is_not() -> None:
    images, logits = torch.randn(64, 1, 8, 8, generator=stream(0, "images")), {}
    for name, compiled, context in (
        ("float32", False, contextlib.nullcontext()),
        ("plain", False, Emulated(torch.bfloat16)),
        ("compiled", True, Emulated(torch.bfloat16)),
    ):
        tapped = Tapped(_network())
        if compiled:
            tapped.compile_(64)
        with context:
            logits[name] = tapped(images).logits
    far = {name: float((logits[name] - logits["float32"]).norm()) for name in ("plain", "compiled")}
    assert 0 < far["compiled"] < 2 * far["plain"]


def test_mini_batches_of_another_size_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    tapped = Tapped(_network())
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail)
    tapped.compile_(16)
    assert tapped(torch.randn(5, 1, 8, 8)).logits.shape == (5, 10)


def test_a_network_that_hooks_look_into_stays_as_it_is() -> None:
    tapped = Tapped(_network(), ("penultimate",))
    tapped.compile_(16)
    assert tapped.compiled is None


def test_a_compiled_training_repeats_bit_for_bit(tmp_path: Path) -> None:
    tiny.digits(tmp_path)
    made = []
    for name in ("one", "two"):
        document, out = tiny.document(**COMPILING), tmp_path / f"{name}.safetensors"
        teach(document, "resnet8", tiny.here(document, tmp_path), tmp_path, out, tmp_path / f"{name}.csv")
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert load(out).notes["trained_on"]["compile"] is True


def test_compiling_without_a_compiler_is_refused_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "COMPILERS", ("no-such-compiler",))
    compute = read({"compute": {**FIXED, "processes": 1, "compile": True}}, "compute", Compute)
    with pytest.raises(ValueError, match=r"there is no C\+\+ compiler \(no-such-compiler\); install one or set it to false"):
        prepare(compute)


def test_several_processes_are_not_compiled() -> None:
    with pytest.raises(ParamsError, match="compile is true and processes 2"):
        read({"compute": copy.deepcopy({**FIXED, "processes": 2, "compile": True})}, "compute", Compute)
