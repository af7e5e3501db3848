"""ResNet for ImageNet, with projection shortcuts, at any width of any layer.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.1, https://arxiv.org/abs/1512.03385
Reference: torchvision, models/resnet.py, for the layout and the names of the modules: bottlenecks stride in their 3x3
convolution, and a block's projection comes after its other convolutions. Its files fit when `fc` is renamed to `classifier`.
Departs: filters that a plan leaves out do not exist, and what a convolution writes, a projection's included, is added into the
residual stream at the places the plan names; the batch norm that ends a block starts at 1 and 0 like the others.
"""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from lib.networks.description import Architecture, Plan, Wire, full_plan
from lib.networks.network import Network
from lib.networks.pieces import Place, Spread, linear_head

BLOCKS: Mapping[int, tuple[int, int, int, int]] = {  # by depth, in each of the four stages
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
SMALLEST_BOTTLENECK = 50  # shallower networks have basic blocks
STEM_WIDTH = 64
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4  # a bottleneck's stream is that much wider than its 3x3 convolution
STAGES = (1, 2, 3, 4)


class BasicBlock(nn.Module):
    """conv1-bn1-ReLU-conv2-bn2, placed into the shortcut's stream, ReLU."""

    def __init__(self, name: str, plan: Plan, reads: str, writes: str, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(plan, f"{name}.conv1", reads, 3, stride)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.conv2 = _conv(plan, f"{name}.conv2", f"{name}.conv1", 3, 1)
        self.bn2 = nn.BatchNorm2d(self.conv2.out_channels)
        self.downsample = _shortcut(plan, name, reads, writes, stride)
        self.place = Place(plan.positions(f"{name}.conv2", writes), len(plan.spaces[writes]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))."""
        out = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.place(self.bn2(self.conv2(out)), self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 conv1-bn1-ReLU, 3x3 conv2-bn2-ReLU, 1x1 conv3-bn3, placed into the shortcut's stream, ReLU."""

    def __init__(self, name: str, plan: Plan, reads: str, writes: str, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(plan, f"{name}.conv1", reads, 1, 1)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.conv2 = _conv(plan, f"{name}.conv2", f"{name}.conv1", 3, stride)
        self.bn2 = nn.BatchNorm2d(self.conv2.out_channels)
        self.conv3 = _conv(plan, f"{name}.conv3", f"{name}.conv2", 1, 1)
        self.bn3 = nn.BatchNorm2d(self.conv3.out_channels)
        self.downsample = _shortcut(plan, name, reads, writes, stride)
        self.place = Place(plan.positions(f"{name}.conv3", writes), len(plan.spaces[writes]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = functional.relu(self.bn2(self.conv2(out)))
        return functional.relu(self.place(self.bn3(self.conv3(out)), self.downsample(x)))


class ImageNetResNet(Network):
    """ResNet of depth 18, 34, 50, 101 or 152: a 7x7 stem with max-pooling and four stages of basic or bottleneck blocks."""

    def __init__(self, depth: int, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        bottleneck = depth >= SMALLEST_BOTTLENECK
        self.wires, self.carries = _wires(BLOCKS[depth], bottleneck), ()
        self.widths = {"input": architecture.in_channels, **_space_widths(self.wires, bottleneck)}
        plan = architecture.plan or full_plan(self.wires, self.widths)
        stem = self.wires[0]
        self.conv1 = nn.Conv2d(architecture.in_channels, len(plan.filters[stem.conv]), 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.spread = Spread(plan.positions(stem.conv, stem.writes), len(plan.spaces[stem.writes]))
        reads = stem.writes
        for stage, blocks in zip(STAGES, BLOCKS[depth], strict=True):
            self.add_module(f"layer{stage}", _stage(stage, blocks, plan, reads, Bottleneck if bottleneck else BasicBlock))
            reads = f"layer{stage}"
        self.head_reads = reads
        self.classifier = linear_head(len(plan.spaces[reads]), architecture)
        self.head = "classifier.0" if architecture.hidden else "classifier"
        self.taps = {f"stage{stage}": (f"layer{stage}", "output") for stage in STAGES}
        self.taps = {**self.taps, "penultimate": ("classifier", "input")}

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), any size from 32x32 (each side is divided by 32) -> logits (B, num_classes)."""
        # Channels that are zero before max-pooling are zero behind it, so the stem spreads what is small already.
        x = self.spread(self.maxpool(functional.relu(self.bn1(self.conv1(images)))))
        for stage in STAGES:
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


def _conv(plan: Plan, name: str, reads: str, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(len(plan.spaces[reads]), len(plan.filters[name]), kernel, stride, kernel // 2, bias=False)


def _shortcut(plan: Plan, name: str, reads: str, writes: str, stride: int) -> nn.Module:
    """The identity inside a stage; a projection with its batch norm, spread over the new stream, where one begins."""
    if reads == writes:
        return nn.Identity()
    conv = _conv(plan, f"{name}.downsample.0", reads, 1, stride)
    spread = Spread(plan.positions(f"{name}.downsample.0", writes), len(plan.spaces[writes]))
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), spread)


def _stage(stage: int, blocks: int, plan: Plan, reads: str, block: type[BasicBlock | Bottleneck]) -> nn.Sequential:
    space = f"layer{stage}"
    first = block(f"{space}.0", plan, reads, space, 1 if stage == 1 else 2)
    return nn.Sequential(first, *(block(f"{space}.{index}", plan, space, space, 1) for index in range(1, blocks)))


def _wires(blocks: tuple[int, ...], bottleneck: bool) -> tuple[Wire, ...]:
    # Basic blocks add to the stem's own output in the first stage; bottlenecks project it to the width of their stream.
    reads = "conv1" if bottleneck else "layer1"
    wires = [Wire("conv1", "bn1", "input", reads, "stem")]
    for stage, count in zip(STAGES, blocks, strict=True):
        for index in range(count):
            wires += _block_wires(f"layer{stage}.{index}", reads, f"layer{stage}", 3 if bottleneck else 2)
            reads = f"layer{stage}"
    return tuple(wires)


def _block_wires(name: str, reads: str, writes: str, convs: int) -> list[Wire]:
    wires, space = [], reads
    for number in range(1, convs):
        conv = f"{name}.conv{number}"
        wires.append(Wire(conv, f"{name}.bn{number}", space, conv, "inner"))
        space = conv
    wires.append(Wire(f"{name}.conv{convs}", f"{name}.bn{convs}", space, writes, "last"))
    if reads != writes:
        wires.append(Wire(f"{name}.downsample.0", f"{name}.downsample.1", reads, writes, "projection"))
    return wires


def _space_widths(wires: tuple[Wire, ...], bottleneck: bool) -> dict[str, int]:
    widths = {wires[0].writes: STEM_WIDTH}
    for wire in wires[1:]:
        width = WIDTHS[int(wire.conv[len("layer")]) - 1]
        widths[wire.writes] = width * EXPANSION if bottleneck and wire.part != "inner" else width
    return widths


BUILDERS: Mapping[str, Callable[[Architecture], ImageNetResNet]] = {
    f"resnet{depth}": partial(ImageNetResNet, depth) for depth in BLOCKS
}
