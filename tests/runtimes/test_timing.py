"""Timing: what is timed computes what was trained, and the figures are what they say."""

import json
import platform
import re
import socket
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from lib import plugins
from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.runtimes import engines, timing
from lib.runtimes.engine import Bound, Shipped
from lib.runtimes.memory import peak_mib
from lib.runtimes.timing import LatencySettings, Setting, in_turns, machine, speedup, time_pair
from tests.networks_for_tests import lived_in, side

CPU = torch.device("cpu")
SETTINGS = LatencySettings(("pytorch", "onnxruntime"), (1, 3), (1,), 1, 5, 60.0)
HERE = [name for name in plugins.names(engines) if name != "openvino"]  # an extra


def shipped(name: str, keep_ratio: float | None = None) -> Shipped:
    network = lived_in(name)
    if keep_ratio is not None:
        kept = Kept(Selection(network, keep_ratio, coupled=False).choose(uniform(network.filters(), stream(0, "masks"))))
        apply_(network, kept)
        network = compact(network, kept, "scatter")
    return Shipped(network.eval(), batch_of(network, 64))


def batch_of(network: Network, number: int) -> torch.Tensor:
    return torch.randn(
        number, 3, side(network.architecture.name), side(network.architecture.name), generator=stream(0, "images")
    )


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("keep_ratio", [None, 0.5])
def test_every_runtime_computes_what_was_trained(name: str, keep_ratio: float | None, tmp_path: Path) -> None:
    small = shipped("resnet8", keep_ratio)
    loaded = plugins.find(engines, name).load(small, tmp_path)
    assert loaded.file_bytes > 0
    for number in (1, 5):
        images = small.calibration[:number]
        with torch.no_grad():
            expected = small.network(images)
        limit = 0.1 if name.endswith("int8") else 1e-4  # integers round
        assert float((loaded.bind(images, 1).call() - expected).abs().max()) < limit * float(expected.abs().max())


def test_a_runtime_that_is_not_installed_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(ValueError, match="openvino is not installed; install it"):
        plugins.find(engines, "openvino").load(shipped("resnet8"), tmp_path)


def test_a_pair_is_timed_in_every_setting() -> None:
    also = [Setting("pytorch", 1, 3), Setting("pytorch", 1, 2)]
    found = list(time_pair(shipped("resnet8"), shipped("resnet8", 0.25), SETTINGS, also))
    wanted = [Setting(*one) for one in (("pytorch", 1, 1), ("pytorch", 1, 3), ("pytorch", 1, 2))]
    wanted += [Setting("onnxruntime", 1, batch) for batch in (1, 3)]
    assert [setting for setting, _, _ in found] == wanted
    for setting, *pair in found:
        for one in pair:
            assert 0.0 < one.q25_ms <= one.median_ms <= one.q75_ms
            assert one.speedup_low <= one.speedup <= one.speedup_high
            assert (one.layout in ("contiguous", "channels_last")) == (setting.runtime == "pytorch")
        assert pair[0].speedup == 1.0
        assert pair[1].file_bytes < pair[0].file_bytes


def test_calls_take_turns_and_the_warm_up_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def call(name: str) -> Bound:
        return Bound(lambda: called.append(name) or torch.zeros(1))  # type: ignore[func-returns-value]

    clock = iter(range(100))
    monkeypatch.setattr(timing, "_milliseconds", lambda call: (call(), float(next(clock)))[1])
    found = in_turns([call("a").call, call("b").call], 2, 5, 60.0)
    assert called == ["a", "b"] * 7
    assert found.tolist() == [[4.0, 6.0, 8.0, 10.0, 12.0], [5.0, 7.0, 9.0, 11.0, 13.0]]


def test_a_slow_pair_is_called_five_times_only() -> None:
    assert in_turns([lambda: torch.zeros(1)], 1, 1000, 1e-9).shape == (1, 5)


def test_a_speed_up_has_an_interval_that_holds_the_truth() -> None:
    random, hits = np.random.default_rng(1), 0
    for _ in range(200):
        busy = random.exponential(0.2, 30)  # of the machine: hits both
        dense, own = (2.0 * (1 + busy) * random.lognormal(0, 0.05, 30), (1 + busy) * random.lognormal(0, 0.05, 30))
        _, low, high = speedup(dense, own)
        hits += low <= 2.0 <= high
    assert hits >= 0.9 * 200
    assert speedup(np.full(9, 3.0), np.full(9, 1.5)) == (2.0, 2.0, 2.0)


@pytest.mark.skipif(peak_mib(lambda: None) is None, reason="the system does not tell")
def test_the_peak_of_memory_is_what_was_touched_at_most() -> None:
    def work() -> None:
        torch.ones(2**24)  # 64 MiB, and gone
        torch.ones(2**22)

    found = peak_mib(work)
    assert found is not None
    assert 60.0 < found < 90.0


@pytest.mark.skipif(peak_mib(lambda: None) is None, reason="the system does not tell")
def test_the_first_network_does_not_pay_for_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a runtime sets up once, with its first network, was told as the memory of the dense one."""
    started: list[Tensor] = []

    class Starting:
        file_bytes = 1

        def bind(self, images: Tensor, _: int) -> Bound:
            if not started:
                started.append(torch.ones(2**24))  # 64 MiB
            return Bound(lambda: images)

    settings = replace(SETTINGS, runtimes=("pytorch",), batch_sizes=(1,), warmup=1, repeats=5)
    first, _ = timing._turns([Starting(), Starting()], torch.zeros(1, 3, 8, 8), 1, settings)
    assert first.peak_mib is not None
    assert first.peak_mib < 30.0


def test_machine_says_what_was_timed_on_and_names_no_host() -> None:
    found = machine(CPU, SETTINGS)
    assert found["threads"] == "1"
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["device"] != ""
    text = json.dumps(found)
    for name in {socket.gethostname(), platform.node()} - {""}:
        assert re.search(rf"\b{re.escape(name)}\b", text) is None


def test_all_threads_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "cores", lambda: 4)
    assert LatencySettings(("pytorch",), (1,), (1, "all", 4), 1, 5, 1.0).counts == (1, 4)


@pytest.mark.parametrize("changes", [{"repeats": 4}, {"warmup": 0}, {"batch_sizes": (0,)}, {"threads": (0,)}], ids=str)
def test_settings_that_time_nothing_are_refused(changes: dict[str, object]) -> None:
    usual = {"runtimes": ("pytorch",), "batch_sizes": (1,), "threads": (1,), "warmup": 1, "repeats": 5, "seconds": 1.0}
    with pytest.raises(ValidationError, match=r"greater than|valid integer"):
        LatencySettings(**(usual | changes))  # type: ignore[arg-type]
