"""PyTorch, eager: the network's modules one after the other, in the faster of two layouts of memory."""

import copy
import time
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from lib.runtimes.engine import Bound, Shipped

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TRIALS = 3  # of each layout, of which the fastest counts


class Eager:
    """The module in both layouts."""

    def __init__(self, network: Shipped) -> None:
        self.forms = {name: copy.deepcopy(network.form(1)).to(memory_format=layout) for name, layout in LAYOUTS.items()}
        self.file_bytes = len(save({name: t.contiguous() for name, t in network.form(1).state_dict().items()}))
        self.device = network.network.device

    def bind(self, images: Tensor, threads: int) -> Bound:
        """The faster layout is taken, after a few trials. Sets the number of threads of this process."""
        torch.set_num_threads(threads)
        bound = {name: self._bound(name, form, images) for name, form in self.forms.items()}
        return min(bound.values(), key=_seconds)

    def _bound(self, name: str, form: nn.Module, images: Tensor) -> Bound:
        inputs = images.to(self.device).contiguous(memory_format=LAYOUTS[name])

        @torch.inference_mode()
        def call() -> Tensor:
            logits: Tensor = form(inputs)
            return logits

        return Bound(call, name)


def _seconds(bound: Bound) -> float:
    found = []
    for _ in range(TRIALS + 1):  # the first one warms up
        start = time.perf_counter()
        bound.call().cpu()  # waits for a GPU
        found.append(time.perf_counter() - start)
    return min(found[1:])


def load(network: Shipped, folder: Path) -> Eager:  # noqa: ARG001 (needs no file)
    """The network as it is."""
    return Eager(network)
