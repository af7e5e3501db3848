"""What several terms compare: where features attend in an image, and how alike the images of a mini-batch are."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def attention(features: Tensor) -> Tensor:
    """Features (B, C, H, W) -> mean over channels of their squares, as unit vectors (B, H W).

    Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017, https://arxiv.org/abs/1612.03928
    """
    return functional.normalize(features.square().mean(1).flatten(1), dim=1)


def similarity(vectors: Tensor) -> Tensor:
    """Vectors (B, D) or features (B, C, H, W) -> their inner products (B, B), every row of unit length.

    Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, https://arxiv.org/abs/1907.09682
    """
    flat = vectors.flatten(1)
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
    """Features (B, C, H, W) averaged to the height and width of others; larger ones repeat what they have."""
    height, width = like.shape[2:]
    if features.shape[2:] == (height, width):
        return features
    return functional.adaptive_avg_pool2d(features, (height, width))


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two features (B, C, H, W), the larger one average-pooled to the height and width of the smaller."""
    if student.shape[2] > teacher.shape[2]:
        return resized(student, teacher), teacher
    return student, resized(teacher, student)
