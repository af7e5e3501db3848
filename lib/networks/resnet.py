"""ResNet for small images, with identity (option A) shortcuts, at any width of any layer.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2, https://arxiv.org/abs/1512.03385
Reference: favorxin/AHSG-HT-pruning-with-KD, models/resnet.py (new channels of a shortcut are appended at the end), and
akamaster/pytorch_resnet_cifar10, resnet.py (half of them stand before the others); names and shapes of the two are the same.
Departs: the final pooling is global, so any image size works; filters that a plan leaves out do not exist, and what a
convolution writes is added into the residual stream at the places the plan names.
"""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from lib.networks.description import Architecture, Carry, Placement, Plan, Wire, full_plan
from lib.networks.network import Network
from lib.networks.pieces import Place, linear_head

WIDTHS = (16, 32, 64)
DEPTHS = (8, 14, 20, 32, 44, 56, 110)
WIDER = ((8, 2), (20, 2), (20, 4), (32, 2))  # depth, times the width


class Shortcut(nn.Module):
    """Option A: every second pixel, and zeros for the channels that the next stage adds."""

    def __init__(self, positions: tuple[int, ...], width: int) -> None:
        super().__init__()
        first = positions[0]
        in_a_row = positions == tuple(range(first, first + len(positions)))
        self.zeros = (first, width - len(positions) - first) if in_a_row else None  # channels before and behind
        self.place = Place(positions, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, ceil(H / 2), ceil(W / 2))."""
        x = x[:, :, ::2, ::2]
        return self.place.spread(x) if self.zeros is None else functional.pad(x, (0, 0, 0, 0, *self.zeros))


class BasicBlock(nn.Module):
    """conv1-bn1-ReLU-conv2-bn2, placed into the shortcut's stream, ReLU."""

    def __init__(self, name: str, plan: Plan, reads: str, writes: str, carry: Carry | None) -> None:
        super().__init__()
        inner, outer = len(plan.filters[f"{name}.conv1"]), len(plan.filters[f"{name}.conv2"])
        self.conv1 = nn.Conv2d(len(plan.spaces[reads]), inner, 3, 2 if carry else 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        width = len(plan.spaces[writes])
        self.shortcut = Shortcut(plan.carried(carry), width) if carry else nn.Identity()
        self.place = Place(plan.positions(f"{name}.conv2", writes), width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
        out = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.place(self.bn2(self.conv2(out)), self.shortcut(x)))


class ResNet(Network):
    """ResNet of depth 6n + 2: a 3x3 stem and three stages of n basic blocks; every layer may be some times as wide."""

    def __init__(self, depth: int, architecture: Architecture, widened: int = 1) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.architecture = architecture
        self.wires = _wires(blocks)
        self.widths = _space_widths(self.wires, architecture.in_channels, widened)
        self.carries = tuple(_carry(self.widths, stage, architecture.shortcut) for stage in (2, 3))
        plan = architecture.plan or full_plan(self.wires, self.widths)
        self.conv1 = nn.Conv2d(architecture.in_channels, len(plan.filters["conv1"]), 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(len(plan.filters["conv1"]))
        self.place = Place(plan.positions("conv1", "layer1"), len(plan.spaces["layer1"]))
        for stage, carry in zip((1, 2, 3), (None, *self.carries), strict=True):
            self.add_module(f"layer{stage}", _stage(stage, blocks, plan, carry))
        self.head_reads = "layer3"
        self.classifier = linear_head(len(plan.spaces["layer3"]), architecture)
        self.head = "classifier.0" if architecture.hidden else "classifier"
        self.taps = {f"stage{stage}": (f"layer{stage}", "output") for stage in (1, 2, 3)}
        self.taps = {**self.taps, "penultimate": ("classifier", "input")}

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), any size from 4x4 -> logits (B, num_classes)."""
        x = self.place.spread(functional.relu(self.bn1(self.conv1(images))))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


def _stage(stage: int, blocks: int, plan: Plan, carry: Carry | None) -> nn.Sequential:
    space = f"layer{stage}"
    first = BasicBlock(f"{space}.0", plan, carry.source if carry else space, space, carry)
    return nn.Sequential(first, *(BasicBlock(f"{space}.{index}", plan, space, space, None) for index in range(1, blocks)))


def _carry(widths: Mapping[str, int], stage: int, shortcut: Placement) -> Carry:
    source, target = f"layer{stage - 1}", f"layer{stage}"
    return Carry(source, target, (widths[target] - widths[source]) // 2 if shortcut == "both" else 0)


def _wires(blocks: int) -> tuple[Wire, ...]:
    wires = [Wire("conv1", "bn1", "input", "layer1", "stem")]
    for stage in (1, 2, 3):
        for index in range(blocks):
            name = f"layer{stage}.{index}"
            reads = f"layer{stage - 1}" if index == 0 and stage > 1 else f"layer{stage}"
            wires.append(Wire(f"{name}.conv1", f"{name}.bn1", reads, f"{name}.conv1", "inner"))
            wires.append(Wire(f"{name}.conv2", f"{name}.bn2", f"{name}.conv1", f"layer{stage}", "last"))
    return tuple(wires)


def _space_widths(wires: tuple[Wire, ...], in_channels: int, widened: int) -> dict[str, int]:
    stage_of = {wire.writes: int(wire.writes[len("layer")]) for wire in wires}
    return {"input": in_channels} | {space: widened * WIDTHS[stage - 1] for space, stage in stage_of.items()}


BUILDERS: Mapping[str, Callable[[Architecture], ResNet]] = {
    **{f"resnet{depth}": partial(ResNet, depth) for depth in DEPTHS},
    **{f"resnet{depth}x{factor}": partial(ResNet, depth, widened=factor) for depth, factor in WIDER},
}
