"""Networks of a user's that are right and unusual."""

import torch
from torch import Tensor, nn
from torch.nn import functional

NAMES = ("Grouped", "NamedTwice", "FixedSize", "ByKeyword", "BatchNorms", "PreActivation", "Carrying")
GROUPED, NAMED_TWICE, FIXED_SIZE, BY_KEYWORD, BATCH_NORMS, PRE_ACTIVATION, CARRYING = (
    f"tests.odd_networks:{name}" for name in NAMES
)
SIDE = 72  # pixels that FixedSize needs


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
    """A batch norm without scales and shifts, or without running statistics, before an ordinary one."""

    def __init__(self, num_classes: int, in_channels: int, *, affine: bool = True, tracked: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8, affine=affine, track_running_stats=tracked)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
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
