"""VGG with batch norm for 32x32 images, at any width of any layer.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, table 1,
https://arxiv.org/abs/1409.1556
Reference: favorxin/AHSG-HT-pruning-with-KD, models/vgg.py (512-512-classes head, convolutions with bias).
Departs: what is left after the five poolings is averaged to 1x1, so larger images work too.
"""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from lib.networks.description import Architecture, Plan, Wire, full_plan
from lib.networks.network import Network

STAGES = {  # convolutions in each of the five stages
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)
HEAD_WIDTH = 512


class VGG(Network):
    """conv-bn-ReLU chains between five 2x2 max-poolings, then a three-layer classifier with dropout."""

    def __init__(self, stages: tuple[int, ...], architecture: Architecture) -> None:
        super().__init__()
        if architecture.hidden:
            msg = f"vgg has its own hidden layers; got hidden={architecture.hidden}, leave it empty"
            raise ValueError(msg)
        self.architecture = architecture
        self.wires, self.carries = _wires(stages), ()
        names = [wire.conv for wire in self.wires]
        widths = [width for width, count in zip(WIDTHS, stages, strict=True) for _ in range(count)]
        self.widths = {"input": architecture.in_channels, **dict(zip(names, widths, strict=True))}
        plan = architecture.plan or full_plan(self.wires, self.widths)
        self.features = _features(stages, plan, architecture.in_channels)
        self.head, self.head_reads = "classifier.0", names[-1]
        self.classifier = nn.Sequential(
            nn.Linear(len(plan.spaces[names[-1]]), HEAD_WIDTH),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HEAD_WIDTH, HEAD_WIDTH),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HEAD_WIDTH, architecture.num_classes),
        )
        pools = [index for index, module in enumerate(self.features) if isinstance(module, nn.MaxPool2d)]
        self.taps = {f"stage{stage}": (f"features.{index}", "output") for stage, index in enumerate(pools, 1)}
        self.taps = {**self.taps, "penultimate": ("classifier", "input")}

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) of at least 32x32 -> logits (B, num_classes). Raises ValueError for smaller ones."""
        if min(images.shape[2:]) < 2 ** len(WIDTHS):
            msg = f"vgg needs images of at least 32x32, got {tuple(images.shape[2:])}; use a resnet for small images"
            raise ValueError(msg)
        pooled = functional.adaptive_avg_pool2d(self.features(images), 1).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits

    def linear_std(self, layer: nn.Linear) -> float:  # noqa: ARG002 (the same for every layer)
        """Standard deviation of a linear layer's initial weights."""
        return 0.01


def _wires(stages: tuple[int, ...]) -> tuple[Wire, ...]:
    wires: list[Wire] = []
    index, reads = 0, "input"
    for count in stages:
        for _ in range(count):
            conv = f"features.{index}"
            wires.append(Wire(conv, f"features.{index + 1}", reads, conv, "inner" if wires else "stem"))
            index, reads = index + 3, conv
        index += 1
    return tuple(wires)


def _features(stages: tuple[int, ...], plan: Plan, in_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count in stages:
        for _ in range(count):
            width = len(plan.filters[f"features.{len(layers)}"])
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            in_channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


BUILDERS: Mapping[str, Callable[[Architecture], VGG]] = {name: partial(VGG, stages) for name, stages in STAGES.items()}
