"""Images of any size -> squares of one size: the shorter side is scaled to it, then the middle is cut out."""

import torch
from torch import Tensor
from torch.nn import functional

LONGEST = 64  # times the shorter side; what is further out is cut away before an image is scaled


def narrowed(image: Tensor) -> Tensor:
    """(C, H, W) -> the middle of it, at most LONGEST times as long as it is wide: a line of pixels would fill the memory."""
    most = LONGEST * min(image.shape[1:])
    for axis in (1, 2):
        if (over := image.shape[axis] - most) > 0:
            image = image.narrow(axis, over // 2, most)
    return image


def squared(image: Tensor, side: int) -> Tensor:
    """(C, H, W) uint8 -> (C, side, side) uint8, bilinear, averaging where it shrinks; an image that fits is left alone."""
    if image.shape[1:] == (side, side):
        return image
    image = narrowed(image)
    height, width = image.shape[1:]
    scale = side / min(height, width)
    size = max(side, round(height * scale)), max(side, round(width * scale))
    scaled = functional.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return scaled[:, top : top + side, left : left + side].round().clamp(0, 255).to(torch.uint8)
