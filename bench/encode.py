"""Sharing the weights of a ResNet-56, packing and unpacking it.

    python -m bench.encode [--bits 5] [--turns 5]

Weights are drawn from normal distributions. Medians.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Annotated, Any

import torch

from lib.formats.checkpoint import Checkpoint
from lib.formats.codes import Coder
from lib.formats.packed import pack, unpack
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.quantization.sharing import share_
from lib.randomness import stream
from stages.command import run


def network() -> Network:
    return build(Architecture("resnet56", 10, 3), stream(0, "initialisation")).eval()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def main(bits: Annotated[int, "of an index"] = 5, turns: Annotated[int, "of each step"] = 5) -> None:
    torch.set_num_threads(1)
    share_(build(Architecture("resnet8", 10, 3), stream(0, "initialisation")), {"*": bits})  # imports scikit-learn
    coders: tuple[Coder, ...] = ("huffman", "ans")
    times: dict[str, list[float]] = {}
    for _ in range(turns):
        made = network()
        took, _labels = timed(lambda made=made: share_(made, {"*": bits}))
        times.setdefault("share", []).append(took)
        for coder in coders:
            known = Checkpoint(made, None, (3, 32, 32), (0.5,) * 3, (0.25,) * 3)
            took, packed = timed(lambda known=known, coder=coder: pack(known, coder))
            times.setdefault(f"pack, {coder}", []).append(took)
            took, _found = timed(lambda packed=packed: unpack(packed.content))
            times.setdefault(f"unpack, {coder}", []).append(took)
    for name, values in times.items():
        print(f"{name:<16} {median(values):.2f} s")


if __name__ == "__main__":
    run(main)
