"""Mean and standard deviation of the pixels of many images, from sums that are exact in whole numbers."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

DIGITS = 4  # decimals kept
VALUES = torch.arange(256)  # of a pixel


@dataclass(frozen=True)
class Moments:
    """count: pixels of a channel. sums, squares: of them, and of their squares, in each channel."""

    count: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]

    def __add__(self, other: "Moments") -> "Moments":
        sums = (one + two for one, two in zip(self.sums, other.sums, strict=True))
        squares = (one + two for one, two in zip(self.squares, other.squares, strict=True))
        return Moments(self.count + other.count, tuple(sums), tuple(squares))

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, of pixels in 0..1. Raises ValueError where one does not vary."""
        n = self.count
        variances = [n * two - one * one for one, two in zip(self.sums, self.squares, strict=True)]  # times (255 n)^2
        std = [math.sqrt(value) / (255 * n) for value in variances]
        deviations = tuple(round(one, DIGITS) for one in std)
        if not all(deviations):
            msg = f"a colour channel hardly differs from pixel to pixel (standard deviations {std}); use images that differ"
            raise ValueError(msg)
        return tuple(round(one / (255 * n), DIGITS) for one in self.sums), deviations


def moments(channels: Tensor) -> Moments:
    """channels: (C, pixels) uint8."""
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels])  # (C, 256)
    sums, squares = ((counts * values).sum(1).tolist() for values in (VALUES, VALUES**2))
    return Moments(channels.shape[1], tuple(sums), tuple(squares))
