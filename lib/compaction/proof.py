"""The proof that two networks compute the same: compared on real images, in both precisions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.networks import build
from lib.networks.network import Network


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of logits in both precisions, and how many images change their predicted class."""

    float64: float
    float32: float
    changed_predictions: int
    images: int

    def __str__(self) -> str:
        return (
            f"max-abs logit difference {self.float64:.2e} in float64 and {self.float32:.2e} in float32, "
            f"{self.changed_predictions} of {self.images} predictions changed"
        )


FLOAT64_LIMIT = 1e-9


FLOAT32_LIMIT = 1e-4


FLOAT64_IMAGES = 256  # double precision is slow, and a wrong channel shows on any image


def verify(masked: Network, small: Network, images: list[Tensor]) -> Difference:
    """Compare the two on batches of real, normalised images (B, C, H, W). Raises ValueError unless they are equal."""
    worst, changed, total = 0.0, 0, 0
    with torch.no_grad():
        for batch in images:
            expected, got = masked.eval()(batch), small.eval()(batch)
            worst = max(worst, _max_abs(expected, got))
            changed += int((expected.argmax(1) != got.argmax(1)).sum())
            total += len(batch)
        double = images[0][:FLOAT64_IMAGES].double()
        exact = _max_abs(_double(masked)(double), _double(small)(double))
    found = Difference(exact, worst, changed, total)
    if not (exact < FLOAT64_LIMIT and worst < FLOAT32_LIMIT and changed == 0):
        msg = f"the compact network is not equal to the masked one: {found}. This is a bug in the network's wires or masks"
        raise ValueError(msg)
    return found


def _max_abs(a: Tensor, b: Tensor) -> float:
    # A NaN must not pass as small: max() of Python would drop it.
    return float((a - b).abs().max()) if bool(torch.isfinite(a - b).all()) else float("inf")


def _double(network: Network) -> nn.Module:
    copy = build(network.architecture).double()
    copy.load_state_dict(network.state_dict())
    return copy.to(network.conv(network.wires[0]).weight.device).eval()
