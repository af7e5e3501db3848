"""The differential filter sampler of KDFS: a pair of logits a filter, drawn from in every step.

Reference: Osilly/KDFS, model/student/layer.py (7b429e2). For logits (drop, keep) and Gumbel noise G of the same shape
    y = softmax((L + G) / temperature),   mask = one-hot(argmax y) forward, y backward (straight through), the keep column;
so a filter is there with probability sigmoid(L_keep - L_drop) whatever the temperature, which only sharpens the gradient.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lib.randomness import number


def temperature_at(first: float, last: float, epoch: int, epochs: int) -> float:
    """first (last / first)^(epoch / epochs): falls geometrically, and is `last` in the last epoch (epochs counted from 1)."""
    return first * math.pow(last / first, epoch / epochs)


def gumbel(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise, drawn on the CPU so that a seed means the same on every device."""
    uniform = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp(1e-12, 1.0 - 1e-12)))


def straight_through(logits: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits and noise (N, 2), drop first -> (hard decision to keep, bool (N,); its soft probability (N,), with gradient)."""
    soft = torch.softmax((logits + noise) / temperature, dim=1)
    return soft.detach().argmax(1) == 1, soft[:, 1]


def at_least_one(keep: Tensor, preference: Tensor, widths: Sequence[int]) -> Tensor:
    """The decisions (N,), in groups of the given widths; a group that would lose all keeps its most preferred."""
    parts = []
    for mask, liked in zip(keep.split(list(widths)), preference.split(list(widths)), strict=True):
        best = torch.zeros_like(mask)
        best[liked.argmax()] = True
        parts.append(mask | (best & ~mask.any()))
    return torch.cat(parts)


class Sampler:
    """Samplers of several groups of filters, one after the other in a single parameter `logits` (N, 2)."""

    def __init__(self, widths: Sequence[int], keep_bias: float, generator: torch.Generator, device: torch.device) -> None:
        """Logits start as N(0, 1), and keep_bias on top for keep: with 0 half of the filters start off, as in the source."""
        self.widths = list(widths)
        start = torch.randn(sum(self.widths), 2, generator=generator)
        start[:, 1] += keep_bias
        self.logits = nn.Parameter(start.to(device))
        self.seed = int(torch.randint(2**62, (1,), generator=generator))
        self.draws = torch.zeros((), dtype=torch.int64)  # counts the draws, so that a resumed training goes on with the next

    def draw(self, temperature: float) -> Tensor:
        """One mask (N,) of exact zeros and ones, with the straight-through gradient."""
        noise = gumbel(self.logits.shape, torch.Generator().manual_seed(number(self.seed, "draw", int(self.draws))))
        self.draws += 1
        keep, soft = straight_through(self.logits, noise.to(self.logits), temperature)
        hard = at_least_one(keep, soft.detach(), self.widths).to(soft)
        return hard + (soft - soft.detach())

    def margins(self) -> Tensor:
        """How much keeping is preferred, (N,): the log odds of being drawn."""
        return (self.logits[:, 1] - self.logits[:, 0]).detach()

    def ticket(self, threshold: float = 0.0) -> Tensor:
        """The decisions (N,) without noise: keep where the margin is above the threshold."""
        margins = self.margins()
        return at_least_one(margins > threshold, margins, self.widths)

    def uncertainty(self) -> float:
        """Mean entropy of the draws in bits, from 0 (all decided) to 1 (all coins)."""
        chance = torch.sigmoid(self.margins()).double().clamp(1e-12, 1.0 - 1e-12)
        bits = chance * chance.log2() + (1.0 - chance) * (1.0 - chance).log2()
        return float(-bits.mean())


def nearest(count: int, share: Callable[[int], float], target: float) -> int:
    """The index, from -1 to count - 1, whose share is nearest to the target; share falls as the index rises. By bisection."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if share(middle) <= target else (middle + 1, high)
    return min((low - 1, low), key=lambda index: abs(share(index) - target))
