"""What several terms compare: where features attend in an image, and how alike the images of a mini-batch are."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lib.training.taps import exact


class _Energy(torch.autograd.Function):
    """Sums of squares over channels without the intermediate tensors of autograd, which cost more than the convolutions.

    Features (B, C, H, W) are read once forwards and once backwards, in their own precision; the sums are exact.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        norms: Tensor = torch.linalg.vector_norm(features, dim=1, dtype=torch.promote_types(features.dtype, torch.float32))
        return norms.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        spread = torch.empty_like(features).copy_(2 * gradient[:, None])  # multiplying by a broadcast tensor is 5x slower
        return spread.mul_(features)


def energy(features: Tensor) -> Tensor:
    """Features (B, C, H, W) -> mean over channels of their squares (B, H, W), float32 at least."""
    summed: Tensor = _Energy.apply(features)
    return summed / features.shape[1]


def attention(features: Tensor) -> Tensor:
    """Features (B, C, H, W) -> mean over channels of their squares, as unit vectors (B, H W).

    Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017, https://arxiv.org/abs/1612.03928
    """
    return functional.normalize(energy(features).flatten(1), dim=1)


def similarity(vectors: Tensor) -> Tensor:
    """Vectors (B, D) or features (B, C, H, W) -> their inner products (B, B), every row of unit length.

    Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, https://arxiv.org/abs/1907.09682
    """
    with torch.autocast(vectors.device.type, enabled=False):
        flat = exact(vectors.flatten(1))
        return functional.normalize(flat @ flat.T, dim=1)


def attended(features: Sequence[Tensor]) -> Tensor:
    """The similarity matrices of the attention maps of several features, (maps, B, B); any sizes."""
    return torch.stack([similarity(attention(feature)) for feature in features])


def paired(student: Sequence[Tensor], teacher: Sequence[Tensor], name: str) -> None:
    """Raise ValueError, with the shapes, unless there are as many features of the student as of the teacher."""
    if len(student) != len(teacher):
        shapes = [[tuple(feature.shape[1:]) for feature in features] for features in (student, teacher)]
        msg = f"{name} pairs stages one by one, got {len(student)} of the student {shapes[0]}"
        msg += f" and {len(teacher)} of the teacher {shapes[1]}; choose networks with equally many stages"
        raise ValueError(msg)


def resized(features: Tensor, like: Tensor) -> Tensor:
    """Features (B, C, H, W) averaged to the height and width of others; larger ones repeat what they have.

    As adaptive average pooling, but with products of matrices, whose gradient is deterministic on every device.
    """
    height, width = like.shape[2:]
    if features.shape[2:] == (height, width):
        return features
    with torch.autocast(features.device.type, enabled=False):
        fine = exact(features)
        return _averages(fine.shape[2], height, fine) @ fine @ _averages(fine.shape[3], width, fine).T


def _averages(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """(outputs, inputs): row i averages the inputs from floor(i inputs / outputs) to ceil((i + 1) inputs / outputs)."""
    matrix = torch.zeros(outputs, inputs, dtype=like.dtype)
    for row in range(outputs):
        start, end = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, start:end] = 1 / (end - start)
    return matrix.to(like.device)


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two features (B, C, H, W), the larger one average-pooled to the height and width of the smaller."""
    if student.shape[2] > teacher.shape[2]:
        return resized(student, teacher), teacher
    return student, resized(teacher, student)
