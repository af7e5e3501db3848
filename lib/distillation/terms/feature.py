"""Feature distillation: the vector that feeds the classifier, or the output of every stage, follows the teacher's.

Reference: favorxin/AHSG-HT-pruning-with-KD, distillation/cifar10_resnet_test.py (MSE) and pure_dis (L1, MSE or SmoothL1),
averaged over all elements, added to the cross entropy with weight 1; stages are summed with equal weights.
Departs: an adapter maps the student's features where their channels differ, as in Romero et al., "FitNets", ICLR 2015,
https://arxiv.org/abs/1412.6550; it is trained with the student and thrown away. Stages of different sizes are compared at
the smaller one.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.distillation.similarity import paired, same_size
from lib.distillation.term import penultimate, stages
from lib.networks.network import Network
from lib.params.section import section
from lib.training.taps import Outputs, Taps, Term, exact

DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "smooth_l1": functional.smooth_l1_loss,
}


@section
class FeatureSettings:
    """where: the vector before the classifier, or all stages. distance: a mean over elements; smooth_l1 turns linear at 1."""

    where: Literal["penultimate", "stages"]
    distance: Literal["mse", "l1", "smooth_l1"]


def taps(params: FeatureSettings, network: Network) -> Taps:
    """What the variant looks at."""
    return penultimate(params, network) if params.where == "penultimate" else stages(params, network)


def term(params: FeatureSettings, student: Outputs, teacher: Outputs) -> Term:
    """Features (B, C) or (B, C, H, W); adapters are made where channels differ. Raises ValueError unless they pair up."""
    distance = DISTANCES[params.distance]
    paired(student.maps, teacher.maps, "feature")
    for mine, theirs in zip(student.maps, teacher.maps, strict=True):
        if mine.dim() != theirs.dim():
            shapes = f"{tuple(mine.shape[1:])} of the student and {tuple(theirs.shape[1:])} of the teacher"
            msg = f"feature compares maps with maps and vectors with vectors, got {shapes}; compare other places (where)"
            raise ValueError(msg)
    adapters = [_adapter(a, b) for a, b in zip(student.maps, teacher.maps, strict=True)]

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        parts = []
        for adapter, mine, theirs in zip(adapters, student.maps, teacher.maps, strict=True):
            a, b = same_size(mine, theirs) if mine.dim() == 4 else (mine, theirs)
            parts.append(distance(exact(adapter(a)), exact(b)))
        return torch.stack(parts).sum()

    return Term(loss, tuple(parameter for adapter in adapters for parameter in adapter.parameters()), by_image=True)


def _adapter(student: Tensor, teacher: Tensor) -> nn.Module:
    """A linear map of the channels where they differ; it starts as comparing what the two have in common."""
    mine, theirs = student.shape[1], teacher.shape[1]
    if mine == theirs:
        return nn.Identity()
    convolution = student.dim() == 4
    adapter: nn.Module = nn.Conv2d(mine, theirs, 1, bias=False) if convolution else nn.Linear(mine, theirs, bias=False)
    with torch.no_grad():
        weight = adapter.weight
        assert isinstance(weight, Tensor)
        weight.zero_().view(theirs, mine).fill_diagonal_(1.0)
    return adapter.to(student.device)
