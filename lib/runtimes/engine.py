"""What a runtime is to the timing: one file in `lib/runtimes/engines/` with one function.

    def load(network: Shipped, folder: Path) -> Loaded

The name of the file is the runtime's name in `latency.runtimes`. A runtime that is not installed raises ValueError with the
cure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, fx

ALL = "all"


@dataclass(frozen=True)
class Shipped:
    """A network as it ships (`lib.compaction.shipping`). module: images (B, C, H, W) -> logits, float32, eval mode.

    calibration: normalised images (N, C, H, W) of the training split, to find ranges of integers with.
    """

    module: fx.GraphModule
    calibration: Tensor

    @property
    def device(self) -> torch.device:
        """Where it runs, for runtimes that have a choice."""
        return next(self.module.parameters()).device


class Bound(NamedTuple):
    """A call that runs the network once on given images: -> logits (B, num_classes). layout: of its memory, where it has one."""

    call: Callable[[], Tensor]
    layout: str = ""


class Loaded(Protocol):
    """A network in a runtime. file_bytes: of the file that this runtime reads."""

    file_bytes: int

    def bind(self, images: Tensor, threads: int) -> Bound:
        """Ready to run on images (B, C, H, W) with so many threads; what may be prepared beforehand is."""
        ...
