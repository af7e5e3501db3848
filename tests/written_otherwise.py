"""A network of a user's that says a common thing in other words, by name."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.networks.builders import allow

NAME = "tests.written_otherwise:Block"

allow([NAME])

# Of the two values that a residual block adds, and a gate (B, C) for the second.
Way = Callable[["Block", Tensor, Tensor, Tensor], Tensor]

WAYS: dict[str, Way] = {
    "expand_as": lambda _, x, y, g: x + y * g[:, :, None, None].expand_as(y),
    "expand to a size": lambda _, x, y, g: x + y * g[:, :, None, None].expand(y.size()),
    "broadcast_to": lambda _, x, y, g: x + y * torch.broadcast_to(g[:, :, None, None], y.shape),
    "view to a shape": lambda _, x, y, g: x + y * g.view(y.shape[:2] + (1, 1)),  # noqa: RUF005
    "reshape by name": lambda _, x, y, g: x + y * torch.reshape(input=g, shape=(y.size(0), -1, 1, 1)),
    "view_as": lambda _, x, y, g: x + y.flatten(2).view_as(x) * g[:, :, None, None],
    "unflatten": lambda _, x, y, g: x + y * g.unflatten(1, (16, 1, 1)),
    "nn.Unflatten": lambda own, x, y, g: x + y * own.unflatten(g),
    "repeat": lambda _, x, y, g: x + y * g[:, :, None, None].repeat(1, 1, *y.shape[2:]),
    "a learnt scale first": lambda own, x, y, _: x + own.alpha * y,
    "a function of a learnt scale": lambda own, x, y, _: torch.sigmoid(own.alpha) * x + y / own.alpha,
    "a buffer first": lambda own, x, y, _: x + torch.mul(own.scale, y),
    "a learnt shift": lambda own, x, y, _: x + (y + own.alpha),
    "a scale a channel": lambda own, x, y, _: x + y * own.gamma.expand_as(y),
    "stack": lambda _, x, y, __: torch.stack([x, y], 1).sum(1),
    "branches weighed": lambda _, x, y, g: (
        torch.stack([x, y], 1) * torch.softmax(torch.cat([g, 1 - g], 1).view(-1, 2, 16), 1)[..., None, None]
    ).sum(1),
    "split and summed": lambda _, x, y, __: x + torch.cat([y.view(-1, 2, 8, 8, 8).sum(1), y.view(-1, 8, 2, 8, 8).amax(2)], 1),
    "one channel for all": lambda _, x, y, __: x + (y + x[:, :1].expand_as(y)),
    "instance norm": lambda own, x, y, _: x + own.norm(y),
    "maximum": lambda _, x, y, __: torch.maximum(x, y) + torch.min(x, y),
    "its type's smallest step": lambda _, x, y, __: x + y * (1 + 1e6 * torch.finfo(y.dtype).eps),
    "by its type": lambda _, x, y, __: x + (y * 0.5 if y.dtype == torch.float32 else y),
    "by its channels": lambda _, x, y, __: x + y * y.shape[1] ** -0.5,
    "a parameter for every image": lambda own, x, y, _: (
        x + y * torch.cat([own.gamma.expand(y.size(0), -1, 8, 8)[:, :8], own.gamma.expand_as(y)[:, 8:]], 1)
    ),
    "a stack over images": lambda _, x, y, __: torch.stack([x, y], 0).view(2 * y.size(0), 16, 8, 8).chunk(2, 0)[1] + x,
    "parts of pixels": lambda _, x, y, __: x + y * sum(p.mean((2, 3), True) for p in y.split([3, 5], 2)),
    "a softmax in parts": lambda _, x, y, g: _weighed(x, y, *torch.cat([g, 1 - g], 1).view(-1, 2, 16).softmax(1).chunk(2, 1)),
    "flip": lambda _, x, y, __: x + torch.flip(y, [3]),
    "flip of images": lambda _, x, y, __: x + y.flip(0),
    "roll": lambda _, x, y, __: x + y.roll(1, 2),
    "transpose": lambda _, x, y, __: x + y.transpose(2, 3),
    "permute": lambda _, x, y, __: x + y.permute(0, 1, 3, 2),
    "a constant": lambda _, x, y, __: x + torch.full((1,), 0.5, device=y.device) * y,
    "a constant a channel": lambda _, x, y, __: x + torch.linspace(0.5, 1.5, 16, device=y.device).view(1, 16, 1, 1) * y,
    "zeros": lambda _, x, y, __: x + y + torch.zeros_like(y) + torch.zeros(1, 16, 1, 1, device=y.device),
    "zeros behind": lambda _, x, y, __: torch.cat([x[:, :8], y.new_zeros(y.size(0), 8, *y.shape[2:])], 1) + y,
    "made zeros behind": lambda _, x, y, __: torch.cat([x[:, :8], torch.zeros(y.size(0), 8, 8, 8, device=y.device)], 1) + y,
    "made numbers": lambda _, x, y, __: x + y * torch.ones(y.size(0), 1, 8, 8, device=y.device) * y.new_full((1,), 0.5),
    "a gate of all channels": lambda _, x, y, __: (
        x + y * torch.sigmoid(y.mean(1, keepdim=True) + y.amax((1,), True) - y.max(1)[0].unsqueeze(1) * y.sum(1, True))
    ),
    "the largest by name": lambda _, x, y, __: x + y * torch.sigmoid(y.max(1, keepdim=True).values),
    "a gate of everything": lambda _, x, y, __: x + y * torch.sigmoid(y.mean((1, 2, 3), keepdim=True)),
    "moved to its own device": lambda _, x, y, __: x.to(y.device) + y.to(dtype=x.dtype),
}


# What mixes channels, or channels and pixels: it is computed whole.
WHOLE: dict[str, Way] = {
    "flip of both": lambda _, x, y, __: x + torch.flip(y, [1, 3]),
    "flip of parts": lambda _, x, y, __: x + y.view(-1, 2, 8, 8, 8).flip(-1).view(-1, 16, 8, 8),
    "one channel laid out": lambda _, x, y, __: (
        y + (x.mean(1, keepdim=True).expand(-1, 16, -1, -1) + x.amax(1, True).expand_as(x))
    ),
    "zeros as weights": lambda _, x, y, __: x + functional.conv2d(y, torch.zeros(16, 16, 1, 1, dtype=y.dtype)),
    "space to depth": lambda _, x, y, __: x + y.view(-1, 16, 4, 2, 4, 2).permute(0, 3, 5, 1, 2, 4).reshape(-1, 16, 8, 8),
    "parts of heads": lambda _, x, y, __: x + torch.cat([t * 2 for t in y.view(-1, 2, 8, 64).chunk(2, 3)], 3).view(x.shape),
    "blurred": lambda _, x, y, __: x + functional.conv2d(y, torch.ones(16, 1, 3, 3, dtype=y.dtype), padding=1, groups=16),
    "a value of its own kind": lambda _, x, y, __: x + y.cumsum(3, dtype=torch.float32).to(y.dtype) + torch.ones_like(y),
}


def _weighed(x: Tensor, y: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return x * one.reshape(-1, 16, 1, 1) + y * other.reshape(-1, 16, 1, 1)


class Block(nn.Module):
    """A residual block between two convolutions; way: how it is written. Its head sees where pixels are."""

    def __init__(self, num_classes: int, in_channels: int, way: str = "expand_as") -> None:
        super().__init__()
        self.way = way
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv3, self.bn3 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.down, self.up = nn.Linear(16, 8), nn.Linear(8, 16)
        self.norm = nn.InstanceNorm2d(16, affine=True)
        self.unflatten = nn.Unflatten(1, (16, 1, 1))
        self.alpha, self.gamma = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.linspace(0.5, 1.0, 16).view(16, 1, 1))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(0.5))
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        y = functional.relu(self.bn2(self.conv2(x)))
        gate = torch.sigmoid(self.up(functional.relu(self.down(y.mean((2, 3))))))
        x = functional.relu(self.bn3(self.conv3((WAYS | WHOLE)[self.way](self, x, y, gate))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
