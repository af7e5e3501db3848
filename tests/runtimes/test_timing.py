"""Timing: what is timed computes what was trained, and the figures are what they say."""

import json
import platform
import re
import socket
from importlib import metadata

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from lib.compaction.compact import compact
from lib.runtimes import timing
from lib.runtimes.timing import LatencySettings, folded, machine, time_in_turns
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream

CPU = torch.device("cpu")
SIZES = {"resnet8": 8, "resnet14": 8, "vgg11": 32}


def _network(name: str, kind: str) -> Network:
    """With batch norms that are not the identity."""
    generator = stream(0, name)
    network = build(Architecture(name, 10, 3), generator).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1, generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(0.2, 0.8, generator=generator)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0.0, 0.1, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
    if kind == "dense":
        return network
    masks = Selection(network, 0.5, coupled=True).choose(uniform(network.filters(), generator))
    apply_(network, Kept(masks))
    return network if kind == "masked" else compact(network, Kept(masks), kind)  # type: ignore[arg-type]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dense", "masked", "scatter", "coupled"])
@pytest.mark.parametrize("name", SIZES)
def test_the_folded_network_computes_the_same(name: str, kind: str) -> None:
    network = _network(name, kind)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = torch.randn(4, 3, SIZES[name], SIZES[name], generator=stream(0, "images"))
    copy = folded(network)
    expected = network(images)
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.abs().max()
    assert torch.allclose(copy(images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_every_network_is_timed_at_every_batch_size() -> None:
    networks = {"masked": _network("resnet8", "masked"), "compact": _network("resnet8", "scatter")}
    found = time_in_turns(networks, (3, 8, 8), LatencySettings((1, 3), 1, 5), CPU)
    assert {name: list(sizes) for name, sizes in found.items()} == {"masked": ["1", "3"], "compact": ["1", "3"]}
    for timing in (timing for sizes in found.values() for timing in sizes.values()):
        assert 0.0 < timing.q25_ms <= timing.median_ms <= timing.q75_ms
        assert timing.layout in latency.LAYOUTS


def test_networks_take_turns_and_the_warm_up_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock = iter(range(1000))
    monkeypatch.setattr(latency, "_milliseconds", lambda call, _: (call(), float(next(clock)))[1])
    networks = {name: _network("resnet8", "dense") for name in ("a", "b")}
    original = folded

    def noted(network: Network) -> nn.Module:
        name = next(name for name, known in networks.items() if known is network)
        module = original(network)
        module.register_forward_pre_hook(lambda *_: calls.append(name))
        return module

    monkeypatch.setattr(latency, "folded", noted)
    found = time_in_turns(networks, (3, 8, 8), LatencySettings((2,), 2, 3), CPU)
    assert calls == ["a", "b"] * 10  # two layouts of five calls
    contiguous = {"a": [4.0, 6.0, 8.0], "b": [5.0, 7.0, 9.0]}  # after two calls of each
    for name, values in contiguous.items():
        timing = found[name]["2"]
        assert (timing.q25_ms, timing.median_ms, timing.q75_ms) == (values[0] + 1, values[1], values[2] - 1)
        assert timing.layout == "contiguous"


def test_quartiles_are_those_of_the_samples() -> None:
    timing = latency._timing([5.0, 1.0, 3.0, 2.0, 4.0], "contiguous")
    assert (timing.q25_ms, timing.median_ms, timing.q75_ms) == (2.0, 3.0, 4.0)


def test_machine_says_what_was_timed_on_and_names_no_host() -> None:
    found = machine(CPU, 3)
    assert found["threads"] == 3
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["device"] != ""
    text = json.dumps(found)
    for name in {socket.gethostname(), platform.node()} - {""}:
        assert re.search(rf"\b{re.escape(name)}\b", text) is None


@pytest.mark.parametrize("changes", [{"repeats": 2}, {"warmup": 0}, {"batch_sizes": (0,)}, {"batch_sizes": (1.5,)}], ids=str)
def test_settings_that_time_nothing_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"greater than|valid integer"):
        LatencySettings(**({"batch_sizes": (1,), "warmup": 1, "repeats": 3} | changes))  # type: ignore[arg-type]
