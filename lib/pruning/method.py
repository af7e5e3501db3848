"""What a pruning method is: a frozen record of functions that the training loop calls.

A method is one file in `lib/pruning/methods/` with a section of settings (Common, or a subclass of it) and one function
`method(network, params, request) -> Method`. Only `kept` must be given; everything else has a neutral default.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from lib.images.batches import Sample
from lib.masks.filters import Masks
from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.bounds import TermName, Weight
from lib.params.section import section
from lib.pruning.layers import Layers
from lib.pruning.selection import Selection
from lib.training.hooks import Hooks


@section
class Common:
    """Settings that every method has.

    start: the trained network (dense), or random weights (scratch; the training is then longer, so that every row of the
    table has seen as many epochs). guide: weights of distillation terms that the teacher adds while pruning; {} for none.
    """

    start: Literal["dense", "scratch"]
    guide: Mapping[TermName, Weight]


@dataclass(frozen=True)
class Request:
    """What is asked of a method.

    epochs: of the training it prunes in. generator: for the choices it makes at random. shape: (C, H, W) of the images.
    sample(count, size): so many training images in random order, augmented, as mini-batches (images, labels) of `size`; the
    same ones at every call. first_share: of the filters of every layer, what the method's own first stage drops.
    """

    keep_ratio: float
    coupled: bool
    epochs: int
    generator: torch.Generator
    layers: Layers
    shape: tuple[int, int, int]
    sample: Sample
    first_share: float = 0.0

    def selection(self, network: Network) -> Selection:
        """The rule that turns scores into masks."""
        return Selection(network, self.keep_ratio, coupled=self.coupled, layers=self.layers, first_share=self.first_share)


@dataclass(frozen=True, kw_only=True)
class Method(Hooks):
    """Hooks of the training, and what comes of it.

    kept: what stays, asked for when training ends. remark: what the user should know of the outcome; empty for nothing.
    """

    kept: Callable[[], Kept]
    remark: Callable[[], str] = lambda: ""

    def masks(self) -> Masks:
        """The filters that stay."""
        return self.kept().filters
