"""The proof that two networks compute the same.

What the masks drop is exactly zero, and the logits of real images agree in both precisions.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.masks.kept import Kept, leftovers
from lib.networks.network import Network


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of logits in both precisions, and how many images change their predicted class.

    ties: images whose classes differ in float32 alone, where two logits are equal but for rounding.
    """

    float64: float
    float32: float
    changed_predictions: int
    ties: int
    images: int

    def __str__(self) -> str:
        ties = f", {self.ties} more are ties" if self.ties else ""
        return (
            f"max-abs logit difference {self.float64:.2e} in float64 and {self.float32:.2e} in float32, "
            f"{self.changed_predictions} of {self.images} predictions changed{ties}"
        )


# Of a logit y the difference may be this times max(1, |y|): deep untrained networks have logits of 1e9 and more.
FLOAT64_LIMIT = 1e-9
FLOAT32_LIMIT = 1e-4
FLOAT64_IMAGES = 256  # double precision is slow, and a wrong channel shows on any image
ROUNDING = "equal in float64, so what differs is rounding"
ON_THE_CPU = f"{ROUNDING}: run this stage with compute.device: cpu"
DIFFERS = "the compact network is not equal to the masked one"
NOT_EQUAL = "they compute different things: make the masked network again, and report it if that does not help"


def check_zeros(network: Network, kept: Kept, source: Path) -> None:
    """Raise ValueError that names the file `source` unless all that the masks drop is exactly zero.

    Logits alone would not tell in every network: a shift left in a masked channel may meet weights that are small.
    """
    names = leftovers(network, kept)
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        msg = f"{source} is not zero where its masks drop filters: {', '.join(names[:3])}{more}; without them the network "
        msg += "would compute something else: make the file again (prune, distill or import)"
        raise ValueError(msg)


def verify(
    given: nn.Module, made: nn.Module, images: Iterable[Tensor], *, exact: nn.Module | None = None, differs: str = DIFFERS
) -> Difference:
    """Compare two networks on batches of real, normalised images (B, C, H, W).

    exact: the second one as it is made in float64, where its own weights were rounded. Where the predictions of an image
    differ, float64 decides: of ten thousand images one may have two logits that are equal but for rounding. Then the logits
    of float64 agree on that image too. Raises ValueError, in the words of `differs`, unless the two are equal.
    """
    gaps, unlike, total, few = [], [], 0, None
    with torch.no_grad():
        for batch in images:
            few = batch[:FLOAT64_IMAGES] if few is None else few
            expected, got = given.eval()(batch), made.eval()(batch)
            gaps.append(gap(expected, got))
            unlike.append(batch[expected.argmax(1) != got.argmax(1)])
            total += len(batch)
    assert few is not None  # a split has images
    apart = torch.cat(unlike)
    pieces = (few, *(apart.split(FLOAT64_IMAGES) if len(apart) else ()))
    doubly = [gap_in_double(given, exact or made, piece) for piece in pieces]
    same_function = max(one.relative for one in doubly) < FLOAT64_LIMIT
    changed = 0 if same_function else len(apart)
    float64, float32 = (max(one.absolute for one in all_of) for all_of in (doubly, gaps))
    found = Difference(float64, float32, changed, len(apart) - changed, total)
    if not (same_function and max(one.relative for one in gaps) < FLOAT32_LIMIT):
        rounding = ROUNDING if few.device.type == "cpu" else ON_THE_CPU
        msg = f"{differs}: {found}; {rounding if same_function else NOT_EQUAL}"
        raise ValueError(msg)
    return found


@dataclass(frozen=True)
class Gap:
    """Largest difference of two sets of logits; relative: to max(1, |y|) of the first. Infinite where one is no number."""

    absolute: float
    relative: float


def gap(expected: Tensor, got: Tensor) -> Gap:
    """How far logits (B, num_classes) are from those expected."""
    apart = (expected - got).abs()
    if not bool(torch.isfinite(apart).all()):  # a NaN must not pass as small: max() of Python would drop it
        return Gap(float("inf"), float("inf"))
    return Gap(float(apart.max()), float((apart / expected.abs().clamp_min(1.0)).max()))


def gap_in_double(one: nn.Module, other: nn.Module, images: Tensor) -> Gap:
    """The gap of two networks' logits, both computed in float64."""
    return gap(_in_double(one, images), _in_double(other, images))


@torch.no_grad()
def _in_double(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = copy.deepcopy(network).double().eval()(images.double())
    return logits
