"""How long networks take in the runtimes that they ship in: each against the dense one, in turns, in one process."""

import itertools
import os
import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lib import plugins
from lib.params.bounds import Name, Once, known
from lib.params.section import section
from lib.runtimes import engines
from lib.runtimes.engine import Bound, Load, Loaded, Shipped
from lib.runtimes.memory import peak_mib

FEWEST = 5  # timed calls, however long they take
RESAMPLES, CONFIDENCE = 1000, 0.95  # of the interval of a speed-up
PACKAGES = ("torch", "torchvision", "numpy", "safetensors", "onnxruntime")
EXTRAS = {"openvino": "openvino"}  # by runtime, the package that only it needs

RuntimeName = Annotated[Name, known("runtime")]
Threads = Annotated[int, Field(ge=1, le=256)] | Literal["all"]


class Setting(NamedTuple):
    """What a network was timed in."""

    runtime: str
    threads: int
    batch: int


@section
class LatencySettings:
    """runtimes: of lib/runtimes/engines, pytorch, onnxruntime, onnxruntime_int8, and openvino, which is an extra
    (pip install --constraint requirements.lock --group openvino).

    batch_sizes: to time. threads: of a call; all: as many as this process may use. warmup: untimed calls first. repeats: timed
    calls of each network; their median and quartiles are reported. seconds: that the timed calls of a pair may take in one
    setting; at least five are made.
    """

    runtimes: Annotated[tuple[RuntimeName, ...], Field(min_length=1, max_length=16), Once]
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=16), Once]
    threads: Annotated[tuple[Threads, ...], Field(min_length=1, max_length=16), Once]
    warmup: Annotated[int, Field(ge=1, le=10_000)]
    repeats: Annotated[int, Field(ge=FEWEST, le=10_000)]
    seconds: Annotated[float, Field(gt=0.0, le=86_400.0)]

    @property
    def counts(self) -> tuple[int, ...]:
        """Of threads, each once."""
        return tuple(dict.fromkeys(cores() if threads == "all" else threads for threads in self.threads))

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All combinations, in the order of running."""
        return tuple(itertools.starmap(Setting, itertools.product(self.runtimes, self.counts, self.batch_sizes)))


@dataclass(frozen=True)
class Timing:
    """Median and quartiles of a call in milliseconds; how many times as fast as the dense network, with its interval; bytes of
    the file; by how many MiB the process grew at most (None where the system does not tell); layout of memory, if any.
    """

    median_ms: float
    q25_ms: float
    q75_ms: float
    speedup: float
    speedup_low: float
    speedup_high: float
    file_bytes: int
    peak_mib: float | None
    layout: str


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def time_pair(
    dense: Shipped, small: Shipped, settings: LatencySettings, also: Collection[Setting] = ()
) -> Iterator[tuple[Setting, Timing, Timing]]:
    """Time a network against the dense one: both in every setting, and in those of `also`, (dense's, the network's).

    The two take turns call by call, so that a busy moment of the machine hits both.
    """
    threads_before = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        for runtime, wanted in _by_runtime((*settings.settings, *also)).items():
            load: Load = plugins.find(engines, runtime).load
            loaded = [_load(load, network, Path(folder) / name) for name, network in (("dense", dense), ("small", small))]
            for setting in wanted:
                yield setting, *_turns(loaded, images(dense, setting.batch), setting.threads, settings)
    torch.set_num_threads(threads_before)


def _by_runtime(settings: Iterable[Setting]) -> dict[str, list[Setting]]:
    """Each setting once, those of a runtime together, as its files are loaded once."""
    found: dict[str, list[Setting]] = {}
    for setting in dict.fromkeys(settings):
        found.setdefault(setting.runtime, []).append(setting)
    return found


def images(network: Shipped, batch: int) -> Tensor:
    """So many random images: what is on them makes no difference to the clock."""
    return torch.randn(batch, *network.network.architecture.shape, generator=torch.Generator().manual_seed(0))


def _load(load: Load, network: Shipped, folder: Path) -> Loaded:
    folder.mkdir(exist_ok=True)
    return load(network, folder)


def _turns(loaded: Sequence[Loaded], inputs: Tensor, threads: int, settings: LatencySettings) -> tuple[Timing, Timing]:
    bound: list[Bound] = []

    def bind(one: Loaded) -> None:
        bound.append(one.bind(inputs, threads))
        bound[-1].call()

    loaded[0].bind(inputs, threads).call()  # a runtime's first network pays for threads and tables of its own
    peaks = [peak_mib(lambda one=one: bind(one)) for one in loaded]  # type: ignore[misc]
    samples = in_turns([one.call for one in bound], settings.warmup, settings.repeats, settings.seconds)
    first, second = (
        _timing(samples[0], own, one.file_bytes, peak, ready.layout)
        for own, one, peak, ready in zip(samples, loaded, peaks, bound, strict=True)
    )
    return first, second


def in_turns(calls: Sequence[Callable[[], Tensor]], warmup: int, repeats: int, seconds: float) -> np.ndarray:
    """Milliseconds of each call in turns, (calls, turns): so many turns, or as many as fit into the time, but not too few."""
    samples: list[list[float]] = []
    start = time.perf_counter()
    for turn in range(warmup + repeats):
        took = [_milliseconds(call) for call in calls]
        if turn == warmup - 1:
            start = time.perf_counter()
        if turn >= warmup:
            samples.append(took)
        if len(samples) >= FEWEST and time.perf_counter() - start > seconds:
            break
    return np.array(samples).T


def _milliseconds(call: Callable[[], Tensor]) -> float:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start = time.perf_counter()
        begin.record()
        on_gpu = call().is_cuda
        end.record()
        torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) if on_gpu else 1000.0 * (time.perf_counter() - start)
    start = time.perf_counter()
    call()
    return 1000.0 * (time.perf_counter() - start)


def _timing(dense: np.ndarray, own: np.ndarray, file_bytes: int, peak: float | None, layout: str) -> Timing:
    times, ratios = np.quantile(own, (0.5, 0.25, 0.75)), speedup(dense, own)
    median, low, high = (round(float(value), 4) for value in times)
    ratio, least, most = (round(value, 4) for value in ratios)
    return Timing(median, low, high, ratio, least, most, file_bytes, None if peak is None else round(peak, 1), layout)


def speedup(dense: np.ndarray, own: np.ndarray) -> tuple[float, float, float]:
    """The ratio of the medians of samples taken in turns, (turns,) each, and its 95 % interval over turns drawn anew."""
    drawn = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    ratios = np.median(dense[drawn], axis=1) / np.median(own[drawn], axis=1)
    low, high = np.quantile(ratios, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(np.median(dense) / np.median(own)), float(low), float(high)


def machine(device: torch.device, settings: LatencySettings) -> dict[str, Any]:
    """What the timings were taken on, without the machine's name."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    packages = [*PACKAGES, *(EXTRAS[runtime] for runtime in settings.runtimes if runtime in EXTRAS)]
    return {
        "device": name,
        "threads": ", ".join(map(str, settings.counts)),
        "python": platform.python_version(),
        "versions": {package: metadata.version(package) for package in packages},
        "form": "as it ships: batch norms folded, no scatter",
        "layout": "of PyTorch the faster of contiguous and channels_last, named with each timing",
        "precision": "float32, but in int8 runtimes",
    }


def processor() -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
