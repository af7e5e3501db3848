"""The spatial attention map of features, on which several distillation terms compare student and teacher."""

from torch import Tensor
from torch.nn import functional


def attention(features: Tensor) -> Tensor:
    """Features (B, C, H, W) -> mean over channels of their squares, as unit vectors (B, H W).

    Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017, https://arxiv.org/abs/1612.03928
    """
    return functional.normalize(features.square().mean(1).flatten(1), dim=1)
