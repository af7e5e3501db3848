"""Networks of a user's that are right and unusual."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.network import Network
from lib.randomness import stream

HERE = "tests.odd_networks"
GROUPED, NAMED_TWICE, FIXED_SIZE, BY_KEYWORD = (
    f"{HERE}:{name}" for name in ("Grouped", "NamedTwice", "FixedSize", "ByKeyword")
)
BATCH_NORMS, PRE_ACTIVATION, CARRYING = (f"{HERE}:{name}" for name in ("BatchNorms", "PreActivation", "Carrying"))
SPREAD, PADDED, DEPTHWISE, TOKENS = (f"{HERE}:{name}" for name in ("Spread", "Padded", "DepthwiseStream", "Tokens"))
BUFFERS, SQUEEZED = (f"{HERE}:{name}" for name in ("Buffers", "Squeezed"))
ONE_RELU, HIDDEN, LINEAR = (f"{HERE}:{name}" for name in ("OneRelu", "Hidden", "Linear"))
FOLDED, ROWS, OWN_PARTS, ATTENDING, COMPUTED, SHIFTED = (
    f"{HERE}:{name}" for name in ("Folded", "Rows", "OwnParts", "Attending", "Computed", "Shifted")
)
ALL = (GROUPED, NAMED_TWICE, FIXED_SIZE, BY_KEYWORD, BATCH_NORMS, PRE_ACTIVATION, CARRYING)
ALL += (SPREAD, PADDED, DEPTHWISE, TOKENS, BUFFERS, SQUEEZED, ONE_RELU, HIDDEN, LINEAR)
ALL += (FOLDED, ROWS, OWN_PARTS, ATTENDING, COMPUTED, SHIFTED)
SIDE = 72  # pixels that FixedSize needs

allow(ALL)


def network(name: str, side: int = 8, seed: int = 0, **arguments: Any) -> Network:
    made = build(Architecture(name, 10, 3, (side, side)).with_arguments(arguments), stream(seed, "initialisation"))
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                _live_(module)
    return made.eval()


def _live_(batch_norm: nn.BatchNorm2d) -> None:
    """Other values than it begins with, where it has any."""
    generator = stream(0, "statistics")
    for name, tensor in [*batch_norm.named_parameters(), *batch_norm.named_buffers()]:
        if name != "num_batches_tracked":
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)


class Grouped(nn.Module):
    """A grouped convolution: as many filters must stay in each of its four runs."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(16)
        self.classifier = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        inside = functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images))))))
        logits: Tensor = self.classifier(inside.mean((2, 3)))
        return logits


class NamedTwice(nn.Module):
    """Modules that stand in the network and in a part of it, and are called once."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.backbone = nn.Sequential(self.conv1, self.bn1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.fc(functional.relu(self.backbone(images)).mean((2, 3)))
        return logits


class FixedSize(nn.Module):
    """A linear layer that knows how large images are."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 4, 3, 4, padding=1, bias=False), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * (SIDE // 4) ** 2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, SIDE, SIDE) -> logits (B, num_classes)."""
        logits: Tensor = self.fc(functional.relu(self.bn1(self.conv1(images))).flatten(1))
        return logits


class ByKeyword(nn.Module):
    """A concatenation whose tensors are given by name."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(in_channels, 4, 3, padding=1) for _ in range(2))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        inside = torch.cat(tensors=[self.one(images), self.two(images)], dim=1)
        logits: Tensor = self.fc(functional.relu(inside).mean((2, 3)))
        return logits


class BatchNorms(nn.Module):
    """A batch norm without scales and shifts, or without running statistics, before an ordinary one; or one without
    statistics behind a 1x1 convolution (last).
    """

    def __init__(
        self, num_classes: int, in_channels: int, *, affine: bool = True, tracked: bool = True, last: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8, affine=affine, track_running_stats=tracked)
        self.conv2 = nn.Conv2d(8, 8, 1 if last else 3, padding=0 if last else 1, bias=False)
        self.bn2 = nn.BatchNorm2d(8, track_running_stats=not last)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        inside = functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images))))))
        logits: Tensor = self.fc(inside.mean((2, 3)))
        return logits


class PreActivation(nn.Module):
    """A stream that a batch norm and a sum both read."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 3, padding=1, bias=False)
        self.bn1, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2, self.conv3 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn3, self.fc = nn.BatchNorm2d(8), nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        stream = self.conv1(images)
        stream = stream + self.conv3(functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(stream))))))
        logits: Tensor = self.fc(functional.relu(self.bn3(stream)).mean((2, 3)))
        return logits


class Carrying(nn.Module):
    """A shortcut that pads what a single layer wrote with zeros, into a wider sum."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        before = functional.relu(self.bn1(self.conv1(images)))
        after = self.bn2(self.conv2(before)) + functional.pad(before, (0, 0, 0, 0, 0, 8))
        logits: Tensor = self.fc(functional.relu(after).mean((2, 3)))
        return logits


class Spread(nn.Module):
    """A sum with what has one value for all pixels, or one channel for all."""

    def __init__(self, num_classes: int, in_channels: int, *, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.shift = nn.Parameter(torch.rand(1, 16, 1, 1))
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        before = functional.relu(self.bn1(self.conv1(images)))
        after = self.conv2(before)
        if self.kind == "in place":
            after += self.shift
        elif self.kind == "scaled":
            after = after * self.shift + self.shift
        else:
            after = after + self.shift if self.kind == "shifted" else before + after[:, :1]
        logits: Tensor = self.fc(functional.relu(after).mean((2, 3)))
        return logits


class _Same(nn.Conv2d):
    """A convolution that pads by itself, so that it is called as a function."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C_out, H, W)."""
        return functional.conv2d(functional.pad(images, (1, 1, 1, 1)), self.weight, self.bias, self.stride)


class Padded(nn.Module):
    """Convolutions whose modules do not come along into the compact network."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _Same(in_channels, 16, 3, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = _Same(16, 16, 3, bias=False), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        inside = functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images))))))
        logits: Tensor = self.fc(inside.mean((2, 3)))
        return logits


class DepthwiseStream(nn.Module):
    """A depthwise convolution on a stream into whose middle a shortcut is padded: its channels are sorted as it ships."""

    def __init__(self, num_classes: int, in_channels: int, *, filters: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.depthwise = nn.Conv2d(32, 32 * filters, 3, padding=1, groups=32, bias=False)
        self.fc = nn.Linear(32 * filters, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        before = functional.relu(self.bn1(self.conv1(images)))
        after = self.bn2(self.conv2(before)) + functional.pad(before, (0, 0, 0, 0, 8, 8))
        logits: Tensor = self.fc(functional.relu(self.depthwise(functional.relu(after))).mean((2, 3)))
        return logits


class Tokens(nn.Module):
    """A batch norm over the positions of a sequence, which are no channels."""

    def __init__(self, num_classes: int, in_channels: int, *, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 2, stride=2)
        self.linear1, self.bn = nn.Linear(16, features), nn.BatchNorm1d(16)
        self.linear2, self.fc = nn.Linear(features, 12), nn.Linear(12, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, 8, 8) -> logits (B, num_classes)."""
        tokens = functional.relu(self.conv1(images)).flatten(2).transpose(1, 2)
        inside = functional.relu(self.linear2(functional.relu(self.bn(self.linear1(tokens)))))
        logits: Tensor = self.fc(inside.mean(1))
        return logits


class Buffers(nn.Module):
    """A buffer of no numbers, or of numbers that no file takes."""

    def __init__(self, num_classes: int, in_channels: int, *, kind: str) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 8, 3), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8, num_classes)
        kinds = {"empty": torch.empty(0), "int32": torch.zeros(3, dtype=torch.int32), "float64": torch.zeros(1).double()}
        self.register_buffer("extra", kinds[kind])

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.fc(functional.relu(self.conv2(functional.relu(self.conv1(images)))).mean((2, 3)))
        return logits


class Squeezed(nn.Module):
    """For a single image its squeeze removes the axis of images too."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 8, 3), nn.Conv2d(8, 8, 3)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes), or (num_classes,)."""
        logits: Tensor = self.fc(self.pool(functional.relu(self.conv2(functional.relu(self.conv1(images))))).squeeze())
        return logits


class OneRelu(nn.Module):
    """One activation module for the whole network, around sums that stand in its own forward."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv4, self.bn4 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.relu, self.fc = nn.ReLU(), nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        first = self.relu(self.bn1(self.conv1(images)))
        first = self.relu(first + self.bn2(self.conv2(first)))
        second = self.relu(self.bn3(self.conv3(first)))
        second = self.relu(second + self.bn4(self.conv4(second)))
        logits: Tensor = self.fc(second.mean((2, 3)))
        return logits


class Hidden(nn.Module):
    """A function activates, a function pools: no module shows what its blocks end with."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(32, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, 8, 8) -> logits (B, num_classes)."""
        inside = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        inside = functional.max_pool2d(functional.relu(self.conv2(inside)), 2)
        logits: Tensor = self.fc(inside.flatten(1))
        return logits


class Linear(nn.Module):
    """Nothing of it is activated, summed or concatenated."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.fc(self.conv2(self.conv1(images)).mean((2, 3)))
        return logits


class Folded(nn.Module):
    """Each image becomes four patches, as if it were four images. unknown: how many there are is left to torch."""

    def __init__(self, num_classes: int, in_channels: int, *, unknown: bool = False) -> None:
        super().__init__()
        self.unknown = unknown
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.conv3 = nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        inside = functional.relu(self.bn1(self.conv1(images)))
        count, width, high, wide = inside.shape
        parts = inside.view(count, width, 2, high // 2, 2, wide // 2).permute(0, 2, 4, 1, 3, 5)
        patches = parts.reshape(-1 if self.unknown else count * 4, width, high // 2, wide // 2)
        patches = functional.relu(self.conv3(functional.relu(self.conv2(patches)))).mean((2, 3))
        logits: Tensor = self.fc(patches.view(-1 if self.unknown else count, 4, 8).mean(1))
        return logits


class Rows(nn.Module):
    """All pixels of all images as rows of one matrix. normed: behind what keeps its channels."""

    def __init__(self, num_classes: int, in_channels: int, *, normed: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16) if normed else nn.ReLU()
        self.linear1, self.linear2, self.fc = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, 8, 8) -> logits (B, num_classes)."""
        inside = self.norm(self.conv2(functional.relu(self.conv1(images))))
        rows = inside.flatten(2).transpose(1, 2).reshape(-1, 16)
        rows = self.linear2(functional.relu(self.linear1(rows)))
        logits: Tensor = self.fc(rows.reshape(-1, 64, 16).mean(1))
        return logits


class _Convolution(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3) / 10)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, padding=1)


class _Scaling(nn.Module):
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x, self.running_mean, self.running_var, training=self.training)


class OwnParts(nn.Module):
    """A convolution and a batch norm that are no modules of torch's, though they call its functions."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.own, self.scaling = nn.Conv2d(in_channels, 16, 3, padding=1), _Convolution(16), _Scaling(16)
        self.conv2, self.conv3 = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        inside = functional.relu(self.scaling(self.own(functional.relu(self.conv1(images)))))
        logits: Tensor = self.fc(functional.relu(self.conv3(functional.relu(self.conv2(inside)))).mean((2, 3)))
        return logits


class Attending(nn.Module):
    """Attention between the positions of maps. keys: channels of keys and values, where they are others."""

    def __init__(self, num_classes: int, in_channels: int, *, keys: int | None = None) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 16, 3, 2, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.keys = None if keys is None else nn.Conv2d(16, keys, 1)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True, kdim=keys, vdim=keys)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, 8, 8) -> logits (B, num_classes)."""
        maps = self.conv2(functional.relu(self.conv1(images)))
        tokens = maps.flatten(2).transpose(1, 2)
        others = tokens if self.keys is None else self.keys(maps).flatten(2).transpose(1, 2)
        logits: Tensor = self.fc((tokens + self.attention(tokens, others, others, need_weights=False)[0]).mean(1))
        return logits


class Computed(nn.Module):
    """A convolution whose weight is computed from others. kind: how."""

    def __init__(self, num_classes: int, in_channels: int, *, kind: str) -> None:
        super().__init__()
        kinds = {
            "weight": nn.utils.parametrizations.weight_norm,
            "spectral": nn.utils.parametrizations.spectral_norm,
            "old": nn.utils.weight_norm,
        }
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 8, 3), kinds[kind](nn.Conv2d(8, 8, 3))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.fc(functional.relu(self.conv2(functional.relu(self.conv1(images)))).mean((2, 3)))
        return logits


class Shifted(nn.Module):
    """Two branches before a 1x1 convolution; kind: what happens to the second one on the way."""

    def __init__(self, num_classes: int, in_channels: int, *, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv3, self.fc = nn.Conv2d(8, 8, 1), nn.Linear(8, num_classes)
        self.alpha, self.gamma = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.linspace(0.5, 1.5, 8).view(8, 1, 1))
        self.slopes, self.norm = nn.PReLU(8), nn.InstanceNorm2d(8, affine=True)
        nn.init.constant_(self.norm.bias, 0.3)
        self.unseen, self.other = nn.BatchNorm2d(8, track_running_stats=False), nn.BatchNorm2d(8)
        self.between = nn.Conv2d(8, 8, 1, bias=False)
        self.mean: Tensor
        self.register_buffer("mean", torch.full((8, 1, 1), 0.5))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        y = self.bn2(self.conv2(images))
        kinds: dict[str, Callable[[], Tensor]] = {
            "half": lambda: 0.5 * y,
            "from two": lambda: 2 - y,
            "learnt factor": lambda: y * self.alpha,
            "learnt factors": lambda: self.gamma * y + self.gamma,
            "slopes": lambda: self.slopes(y),
            "instance norm": lambda: self.norm(y),
            "average": lambda: functional.avg_pool2d(y, 2),
            "less": lambda: y - 0.25 * x,
            "larger": lambda: torch.maximum(y, x),
            "total": lambda: y.sum((2, 3), keepdim=True) / 100,
            "to its device": lambda: y.to(x.device) * torch.linspace(0.5, 1.5, 8).view(1, 8, 1, 1),
            "no statistics": lambda: self.unseen(y.mean((2, 3), keepdim=True)),
            "named like a method": lambda: y * x.mean(),
            "without its bias": lambda: functional.conv2d(images, self.conv2.weight, padding=1),
            "a norm for both": lambda: self.other(self.between(y)) + self.other(x),
            "gated": lambda: y * torch.sigmoid(x),
            "computed factor": lambda: y * torch.sigmoid(self.alpha),
            "zeros around": lambda: functional.pad(y, [1, 1, 1, 1]),
            "average with zeros": lambda: functional.avg_pool2d(y, 3, 1, 1),
        }
        logits: Tensor = self.fc(functional.relu(self.conv3(kinds[self.kind]())).mean((2, 3)))
        return logits
