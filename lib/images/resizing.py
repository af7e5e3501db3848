"""Images of any size -> squares of one size: the shorter side is scaled to it, then the middle is cut out."""

import torch
from torch import Tensor
from torch.nn import functional


def squared(image: Tensor, side: int) -> Tensor:
    """(C, H, W) uint8 -> (C, side, side) uint8, bilinear, averaging where it shrinks; an image that fits is left alone."""
    height, width = image.shape[1:]
    if (height, width) == (side, side):
        return image
    scale = side / min(height, width)
    size = max(side, round(height * scale)), max(side, round(width * scale))
    scaled = functional.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return scaled[:, top : top + side, left : left + side].round().clamp(0, 255).to(torch.uint8)
