"""Whether the precision of a training is a fast one on this machine."""

import time

import torch
from torch import nn

from lib.training.device import Compute, autocast

CHANNELS, IMAGES, SIDE = 32, 32, 16  # of a convolution as small networks have them
CALLS = 15  # of which the fastest counts: on a busy machine few are undisturbed
SLOW = 1.5  # times as long as float32; where half precision is at home it takes less


def slow(compute: Compute) -> str:
    """A warning where half precision takes far longer than float32, as on a GPU without instructions for it.

    Times one convolution, forwards and backwards, both ways, in about a second. "" where all is well, and where the device
    is not on this machine.
    """
    if compute.precision == "float32" or (compute.device == "cuda" and not torch.cuda.is_available()):
        return ""
    device = torch.device("cpu" if compute.device == "cpu" or not torch.cuda.is_available() else "cuda")
    half, single = _seconds(compute, device)
    times = float(f"{half / single:.2g}")
    if times < SLOW:
        return ""
    return (
        f"compute.precision: {compute.precision} is slow on this machine: a convolution takes {times:g} times as long as in "
        "float32; set it to float32, which gives other bits, or train where there are instructions for it (AMX or "
        "AVX512-BF16, or a GPU)"
    )


def _seconds(compute: Compute, device: torch.device) -> tuple[float, float]:
    """Of a convolution in half precision and in float32, in turns, so that a busy moment of the machine hits both."""
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False).to(device)
    images = torch.randn(IMAGES, CHANNELS, SIDE, SIDE, device=device, requires_grad=True)
    contexts = autocast(compute, device), torch.autocast(device.type, enabled=False)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(CALLS + 1):  # the first ones also set things up
        for context, times in zip(contexts, found, strict=True):
            start = time.perf_counter()
            with context:
                maps = layer(images)
            maps.float().sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    half, single = map(min, found)
    return half, single
