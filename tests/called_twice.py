"""A network of a user's that calls a layer several times in a pass, in all the ways that differ, by name."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.networks.builders import allow

NAME = "tests.called_twice:Shared"

allow([NAME])

Way = Callable[["Shared", Tensor], Tensor]  # (B, 16, 8, 8) -> (B, 16, 8, 8)
Join = Callable[[Tensor, Tensor], Tensor]

PARTS: dict[str, Callable[[], nn.Module]] = {
    "conv2": lambda: nn.Conv2d(16, 16, 3, padding=1),
    "plain": lambda: nn.Conv2d(16, 16, 3, padding=1, bias=False),
    "grouped": lambda: nn.Conv2d(16, 16, 3, padding=1, groups=4),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, padding=1, groups=16),
    "norm": lambda: nn.BatchNorm2d(16),
    "other": lambda: nn.BatchNorm2d(16),
    "each": lambda: nn.InstanceNorm2d(16, affine=True),
    "slope": lambda: nn.PReLU(16),
    "down": lambda: nn.Linear(16, 8),
    "up": lambda: nn.Linear(8, 16),
    "row": lambda: nn.Linear(16, 16),
    "one": lambda: nn.Conv2d(16, 16, 1),
    "two": lambda: nn.Conv2d(16, 16, 1, bias=False),
}


def _gate(own: "Shared", x: Tensor) -> Tensor:
    """CBAM, arXiv 1807.06521: two layers for the mean and for the maximum of each channel."""
    mean, most = x.mean((2, 3)), x.amax((2, 3))
    return (
        x * torch.sigmoid(own.up(functional.relu(own.down(mean))) + own.up(functional.relu(own.down(most))))[..., None, None]
    )


def _read_in_part(own: "Shared", x: Tensor) -> Tensor:
    """One call's second half goes unread, another's is needed whole."""
    one, other = own.plain(x), own.plain(own.conv2(x))
    return torch.cat([one[:, :8], other[:, 8:] + one[:, :8]], 1)


def _sum_first(part: str, join: Join = torch.add) -> Way:
    """What is called first has more channels, and what is called later fewer."""

    def way(own: "Shared", x: Tensor) -> Tensor:
        shared, a, b = getattr(own, part), own.plain(x), own.conv2(x)
        return own.one(functional.relu(shared(join(a, b)))) + own.two(shared(a))

    return way


def _before_activation(own: "Shared", x: Tensor) -> Tensor:
    inside = x + own.plain(x)
    return own.one(functional.relu(own.norm(inside))) + inside + own.conv2(functional.relu(own.norm(x)))


def _separable(own: "Shared", x: Tensor) -> Tensor:
    for _ in range(2):
        x = own.two(own.depthwise(x)) + x
    return x


def _halves(part: str) -> Way:
    """A half of what one part makes of the values of two layers that choose their filters by themselves."""
    return lambda own, x: torch.cat([getattr(own, part)(own.conv2(x))[:, :8], getattr(own, part)(own.plain(x))[:, 8:]], 1)


WAYS: dict[str, tuple[tuple[str, ...], Way]] = {
    "a gate": (("down", "up"), _gate),
    "a convolution": (("plain",), lambda own, x: own.plain(functional.relu(own.plain(x)))),
    "with its batch norm": (("plain", "norm"), lambda own, x: own.norm(own.plain(functional.relu(own.norm(own.plain(x)))))),
    "with two batch norms": (
        ("plain", "norm", "other"),
        lambda own, x: own.other(own.plain(functional.relu(own.norm(own.plain(x))))),
    ),
    "a stream": (
        ("plain", "norm"),
        lambda own, x: x + own.plain(functional.relu(own.norm(x + own.plain(functional.relu(own.norm(x)))))),
    ),
    "at two sizes": (
        ("plain",),
        lambda own, x: own.plain(x) + functional.interpolate(own.plain(functional.max_pool2d(x, 2)), scale_factor=2),
    ),
    "read in part": (("plain", "conv2"), _read_in_part),
    "grouped": (("grouped",), lambda own, x: own.grouped(functional.relu(own.grouped(x)))),
    "depthwise": (("depthwise",), lambda own, x: own.depthwise(functional.relu(own.depthwise(x)))),
    "a batch norm for two": (("plain", "conv2", "norm"), _halves("norm")),
    "an instance norm for two": (("plain", "conv2", "each"), _halves("each")),
    "a slope for two": (("plain", "conv2", "slope"), _halves("slope")),
    "a function": (
        ("plain",),
        lambda own, x: functional.conv2d(functional.relu(own.plain(x)), own.plain.weight, padding=1),
    ),
    **{
        f"a sum before {part}": (("plain", "conv2", "one", "two", part), _sum_first(part))
        for part in ("norm", "depthwise", "each", "slope")
    },
    "a product later": (
        ("plain", "conv2", "one", "two", "norm"),
        lambda own, x: own.one(own.norm(own.plain(x))) + own.two(own.norm(own.plain(x) * own.conv2(x))),
    ),
    "what zero becomes": (("plain", "conv2", "one", "two", "norm"), _sum_first("norm", lambda a, _: torch.sigmoid(a))),
    "before activation": (("plain", "conv2", "one", "norm"), _before_activation),
    "separable": (("depthwise", "two"), _separable),
    "depthwise for two": (("plain", "conv2", "depthwise"), _halves("depthwise")),
    "a function behind": (
        ("plain", "norm"),
        lambda own, x: functional.conv2d(functional.relu(own.norm(own.plain(x))), own.plain.weight, padding=1),
    ),
    "a padded shortcut": (
        ("plain",),
        lambda own, x: _padded(own, _padded(own, x)),
    ),
    "rows and tokens": (
        ("row",),
        lambda own, x: (
            own.row(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape) * own.row(x.mean((2, 3)))[:, :, None, None]
        ),
    ),
}


# A weight that something else reads, too: its layer stays whole.
WHOLE: dict[str, tuple[tuple[str, ...], Way]] = {
    "half of its weight": (
        ("plain",),
        lambda own, x: own.plain(x)[:, :8].repeat(1, 2, 1, 1) + functional.conv2d(x, own.plain.weight * 0.5, padding=1),
    ),
    "backwards": (
        ("plain",),
        lambda own, x: functional.conv_transpose2d(functional.relu(own.plain(x)), own.plain.weight, padding=1),
    ),
    "along another axis": (
        ("one", "norm"),
        lambda own, x: own.norm(own.one(x)) + own.norm(x.permute(0, 2, 1, 3).repeat(1, 2, 1, 1)).mean((2, 3), True),
    ),
    "its own scale": (("plain", "norm"), lambda own, x: own.norm(own.plain(x)) * own.norm.weight.view(1, 16, 1, 1)),
}


def _padded(own: "Shared", x: Tensor) -> Tensor:
    return own.plain(x) + functional.pad(x[:, :8], (0, 0, 0, 0, 4, 4))


class Shared(nn.Module):
    """Between a convolution and a head; way: what is called twice."""

    def __init__(self, num_classes: int, in_channels: int, way: str = "a convolution") -> None:
        super().__init__()
        self.way = way
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        for name in (WAYS | WHOLE)[way][0]:
            self.add_module(name, PARTS[name]())
        self.conv3, self.fc = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        x = (WAYS | WHOLE)[self.way][1](self, functional.relu(self.bn1(self.conv1(images))))
        logits: Tensor = self.fc(functional.relu(self.conv3(functional.relu(x))).mean((2, 3)))
        return logits


class OtherGroups(nn.Module):
    """Calls one weight for twelve channels in three groups, and for four in one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.fc = nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, 10)."""
        x = self.conv1(images)
        both = self.conv2(x) + functional.conv2d(x[:, :4], self.conv2.weight, padding=1)
        logits: Tensor = self.fc(both.mean((2, 3)))
        return logits
