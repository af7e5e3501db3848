"""A network of a user's whose forward does one unusual thing, by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.networks.builders import allow

NAME, FROZEN = "tests.own_forwards:Own", "tests.own_forwards:Frozen"
MODES = ("drop_path", "noise", "dropout", "larger", "never", "builtin")  # what only training, or no training, does
IN_PLACE = ("added", "rectified", "carried")  # changes a value that is read again

allow([NAME, FROZEN])


class Own(nn.Module):
    """Two convolutions and a classifier; kind: what else."""

    def __init__(self, num_classes: int, in_channels: int, kind: str = "plain") -> None:
        super().__init__()
        self.kind, self.always = kind, False
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(8 if kind == "half" else 16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(16, num_classes)
        if kind == "tied":
            self.conv3 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
            self.conv3.weight = self.conv2.weight
        if kind == "twice":  # one layer by two names is no tied one
            self.again = self.conv2
        if kind == "without_gradient":
            self.conv2.weight.requires_grad = False

    def forward(self, images: Tensor, is_feat: bool = False, scale: Tensor | None = None) -> Any:
        """(B, C, H, W) -> logits (B, num_classes)."""
        x = self.relu(self.bn1(self.conv1(images)))
        if scale is not None:
            x = x * scale
        x = self._inside(x)
        x = self.relu(self.bn2(self.conv2(x)))
        logits = self.fc(x.mean(axis=(2, 3)))
        if self.kind == "mapping":
            return {"logits": logits}
        return (logits, x) if is_feat else logits

    def _inside(self, x: Tensor) -> Tensor:
        ways: Mapping[str, Any] = {
            "half": lambda: x[:, 4:12],
            "added": lambda: _added(x),
            "rectified": lambda: _rectified(x - 0.5),
            "carried": lambda: x + functional.relu(x.neg_(), inplace=True),
            "drop_path": lambda: x * (torch.rand(x.shape[0], 1, 1, 1) > 0.5) if self.training else x,
            "noise": lambda: x + torch.randn_like(x) if self.training else x,
            "dropout": lambda: functional.dropout(x, 0.5) if self.training else x,
            "larger": lambda: 10 * x if self.training else x,
            "never": lambda: functional.dropout(x, 0.5, training=self.always),
            "no_onnx": lambda: x * torch.special.i0e(x),  # no ONNX operator computes it
            "builtin": lambda: torch.dropout(x, 0.5, self.training),
        }
        return ways[self.kind]() if self.kind in ways else x


def _added(x: Tensor) -> Tensor:
    """The result of an operation in place is not assigned."""
    y = 2 * x
    y.add_(x)
    return y


def _rectified(x: Tensor) -> Tensor:
    functional.relu(x, inplace=True)
    return x


class Frozen(Own):
    """Whose first batch norm never trains."""

    def train(self, mode: bool = True) -> "Frozen":
        """Training or eval mode, but for that."""
        super().train(mode)
        self.bn1.eval()
        return self
