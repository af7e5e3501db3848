"""What a runtime is to the timing: one file in `lib/runtimes/engines/` with one function.

    def load(network: Shipped, folder: Path) -> Loaded

The name of the file is the runtime's name in `latency.runtimes`. A runtime that is not installed raises ValueError with the
cure.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Tensor, fx

from lib.compaction.shipping import ship
from lib.formats.onnx import exported
from lib.networks.network import Network


@dataclass(frozen=True)
class Shipped:
    """A network to run, dense or compact, in eval mode.

    calibration: normalised images (N, C, H, W) of the training split, to find ranges of integers with.
    """

    network: Network
    calibration: Tensor

    forms: dict[int, fx.GraphModule] = field(default_factory=dict)  # made so far, by the multiple of their channels

    def form(self, multiple: int) -> fx.GraphModule:
        """As it ships, its channels in multiples (1: as many as are needed)."""
        if multiple not in self.forms:
            self.forms[multiple] = ship(self.network, multiple)
        return self.forms[multiple]

    def exactly(self, multiple: int) -> fx.GraphModule:
        """The same in float64, whose weights were not rounded after folding."""
        return ship(copy.deepcopy(self.network).double(), multiple)

    def onnx(self, folder: Path, multiple: int) -> Path:
        """The same as an ONNX file; written once."""
        path = folder / f"multiples-of-{multiple}.onnx"
        if not path.exists():
            form = copy.deepcopy(self.form(multiple)).cpu()
            path.write_bytes(exported(form, self.network.architecture.shape, {}))
        return path


class Bound(NamedTuple):
    """A call that runs the network once on given images: -> logits (B, num_classes). layout: of memory, where it has one."""

    call: Callable[[], Tensor]
    layout: str = ""


class Loaded(Protocol):
    """A network in a runtime. file_bytes: of the file that this runtime reads."""

    file_bytes: int

    def bind(self, images: Tensor, threads: int) -> Bound:
        """Ready to run on images (B, C, H, W) with so many threads; what may be prepared beforehand is."""
        ...


Load = Callable[[Shipped, Path], Loaded]
