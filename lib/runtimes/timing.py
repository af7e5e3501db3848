"""How long a network takes: the masked and the compact one, timed in turns in one process.

Batch norms are folded into the convolutions first, as anybody who ships a network does; of the contiguous and the
channels_last layout the faster one is reported and named.
"""

import copy
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lib.channels.parts import batch_norms
from lib.networks.network import Network
from lib.params.bounds import Once
from lib.params.section import section

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@section
class LatencySettings:
    """batch_sizes: to time. warmup: untimed calls first. repeats: timed calls; their median and quartiles are reported."""

    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=16), Once]
    warmup: Annotated[int, Field(ge=1, le=10_000)]
    repeats: Annotated[int, Field(ge=3, le=10_000)]


@dataclass(frozen=True)
class Timing:
    """Median and quartiles of one forward pass, in milliseconds, in the faster layout."""

    median_ms: float
    q25_ms: float
    q75_ms: float
    layout: str


def folded(network: Network) -> nn.Module:
    """A copy for inference: batch norms folded into the convolutions that they alone read (equal up to rounding)."""
    small = copy.deepcopy(network).eval()
    for name, batch_norm in batch_norms(network.description.steps).items():
        conv, norm = small.get_submodule(name), small.get_submodule(batch_norm)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            _replace(small, name, fuse_conv_bn_eval(conv, norm))
            _replace(small, batch_norm, nn.Identity())
    return small


def time_in_turns(
    networks: dict[str, Network], shape: tuple[int, int, int], params: LatencySettings, device: torch.device
) -> dict[str, dict[str, Timing]]:
    """Time networks on random images of shape (C, H, W): results by network name, then by batch size (as text).

    Within a batch size and layout the networks take turns call by call, so that a busy moment of the machine hits all.
    """
    found: dict[str, dict[str, Timing]] = {name: {} for name in networks}
    ready = {name: folded(network).to(device) for name, network in networks.items()}
    for size in params.batch_sizes:
        images = torch.randn(size, *shape, generator=torch.Generator().manual_seed(0)).to(device)
        timings = [t for layout in LAYOUTS for t in _turns(ready, images, layout, params)]
        for name in networks:
            own = [timing for owner, timing in timings if owner == name]
            found[name][str(size)] = min(own, key=lambda timing: timing.median_ms)
    return found


@torch.inference_mode()
def _turns(networks: dict[str, nn.Module], images: Tensor, layout: str, params: LatencySettings) -> list[tuple[str, Timing]]:
    images = images.contiguous(memory_format=LAYOUTS[layout])
    samples: dict[str, list[float]] = {name: [] for name in networks}
    for network in networks.values():
        network.to(memory_format=LAYOUTS[layout])
    for call in range(params.warmup + params.repeats):
        for name, network in networks.items():
            elapsed = _milliseconds(partial(network, images), images.device)
            if call >= params.warmup:
                samples[name].append(elapsed)
    return [(name, _timing(values, layout)) for name, values in samples.items()]


def _milliseconds(call: Callable[[], Any], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1000.0 * (time.perf_counter() - start)


def _timing(values: Sequence[float], layout: str) -> Timing:
    wanted = torch.tensor([0.5, 0.25, 0.75], dtype=torch.float64)
    median, low, high = torch.tensor(values, dtype=torch.float64).quantile(wanted).tolist()
    return Timing(round(median, 4), round(low, 4), round(high, 4), layout)


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    network.get_submodule(parent).register_module(last, module)


def machine(device: torch.device, threads: int) -> dict[str, Any]:
    """What the timings were taken on, without the machine's name."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    versions = {package: metadata.version(package) for package in ("torch", "torchvision", "numpy", "safetensors")}
    return {
        "device": name,
        "threads": threads,
        "python": platform.python_version(),
        "versions": versions,
        "batch_norm": "folded into the convolutions",
        "layout": "the faster of contiguous and channels_last, named with each timing",
        "precision": "float32",
    }


def _processor() -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
