"""What the tracer follows: Python that looks at shapes and numbers; and what it refuses, with the reason."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.channels.description import Description, describe
from lib.channels.emission import emit
from lib.channels.flow import flow
from lib.channels.proxies import seen
from lib.channels.steps import Layer, Scale
from lib.channels.tracing import outlined, trace
from lib.randomness import stream
from tests.networks_for_tests import live_

SHAPE = (3, 8, 8)


class Small(nn.Module):
    """Two convolutions and a classifier; what lies between them is up to the kind."""

    def __init__(self, width: int = 8, second: int | None = None) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width if second is None else second, 6, 3, padding=1)
        self.classifier = nn.Linear(6, 4)

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return functional.relu(x)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, 4)."""
        x = self.between(self.bn1(self.conv1(images)))
        logits: Tensor = self.classifier(functional.relu(self.conv2(x)).mean((2, 3)))
        return logits


class ByShape(Small):
    """Pools large images only."""

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) or half as high and wide."""
        if x.shape[2] < 2:
            return functional.relu(x)
        batch, channels, height, width = x.shape
        return functional.max_pool2d(x, 2).view(batch, channels, height // 2, width // 2)


class ByDims(Small):
    """Counts dimensions, and loops as often as the images are high."""

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        assert x.dim() == 4
        assert len(x.shape) == x.ndim
        for _ in range(x.size(2) // 4):
            x = functional.relu(x)
        return x


class ByChunks(Small):
    """Counts chunks, and takes them one by one."""

    def __init__(self) -> None:
        super().__init__(second=4)

    def between(self, x: Tensor) -> Tensor:
        """(B, 2 C, H, W) -> (B, C, H, W): the sum of the halves."""
        chunks = x.chunk(2, dim=1)
        assert len(chunks) == 2
        one, other = [functional.relu(chunk) for chunk in chunks]
        return one + other


class Unpacked(Small):
    """Unpacks chunks."""

    def __init__(self) -> None:
        super().__init__(second=4)

    def between(self, x: Tensor) -> Tensor:
        """(B, 2 C, H, W) -> (B, C, H, W): gated by the other half."""
        one, other = x.chunk(2, dim=1)
        return one * other.sigmoid()


class ByValue(Small):
    """Looks at the activations."""

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x if x.sum() > 0 else -x


class ByItem(Small):
    """Takes a number out of the activations."""

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * x.mean().item()


class ByItemBesideAConstant(Small):
    """Is followed with numbers, as it makes some of its own: they are not those of its images."""

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * torch.full((1,), 0.5) * float(x.mean())


class ChangedConstant(Small):
    """Changes a constant that it has just made."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 8, 1, 1))

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        factor = torch.ones(1, 8, 1, 1)
        factor *= self.scale
        return x * factor


class ReluTwice(Small):
    """Calls a module without parameters twice."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def between(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        twice: Tensor = self.act(self.act(x) - 0.5)
        return twice


class Functional(Small):
    """Calls the functions, and not the modules."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, 4)."""
        x = functional.conv2d(images, self.conv1.weight, self.conv1.bias, padding=1)
        norm = self.bn1
        x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training)
        x = functional.conv2d(functional.relu(x), self.conv2.weight, bias=self.conv2.bias, padding=1)
        return functional.linear(functional.relu(x).mean((2, 3)), self.classifier.weight, self.classifier.bias)


def network(kind: type[Small]) -> Small:
    """One whose values are all random."""
    torch.manual_seed(0)
    made = kind()
    live_(made, stream(0, "statistics"))
    return made.eval()


def described(kind: type[Small], shape: tuple[int, int, int] = SHAPE) -> Description:
    return describe(outlined(network(kind)), shape)


def images(count: int = 2, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.randn(count, *shape, generator=stream(0, "images"))


def emitted(module: nn.Module, description: Description, masks: dict[str, Tensor]) -> nn.Module:
    return emit(module, description, flow(description.steps, masks))


@torch.no_grad()
def compact_gap(kind: type[Small], masks: dict[str, Tensor]) -> float:
    """How far the compact network is from the masked one."""
    masked = network(kind)
    small = emitted(masked, described(kind), masks)
    for name, mask in masks.items():
        layer = masked.get_submodule(name)
        layer.weight[~mask], layer.bias[~mask] = 0.0, 0.0  # type: ignore[operator]
        if name == "conv1":
            masked.bn1.weight[~mask], masked.bn1.bias[~mask] = 0.0, 0.0
    return float((masked(images()) - small(images())).abs().max())


@pytest.mark.parametrize(("height", "pooled"), [(1, False), (8, True)])
def test_python_that_looks_at_shapes_takes_the_way_of_the_traced_size(height: int, pooled: bool) -> None:
    graph = trace(outlined(network(ByShape)), (3, height, 8))
    names = [str(node.target) for node in graph.nodes]
    assert any("max_pool2d" in name or "boolean_dispatch" in name for name in names) == pooled
    assert list(described(ByShape, (3, height, 8)).layers) == ["conv1", "conv2"]


def test_every_node_knows_what_it_gave() -> None:
    graph = trace(outlined(network(ByShape)), SHAPE)
    shapes = {node.name: tuple(seen(node).shape) for node in graph.nodes if isinstance(seen_or_none(node), Tensor)}
    assert shapes["images"] == (1, 3, 8, 8)
    assert shapes["conv1"] == (1, 8, 8, 8)
    assert shapes["conv2"] == (1, 6, 4, 4)
    assert shapes["classifier"] == (1, 4)


def seen_or_none(node: torch.fx.Node) -> object:
    return node.meta.get("seen")


@pytest.mark.parametrize("kind", [ByShape, ByDims, ByChunks, Unpacked, ReluTwice, Functional])
def test_what_is_followed_is_cut_exactly(kind: type[Small]) -> None:
    found = described(kind)
    assert set(found.layers) == {"conv1", "conv2"}
    assert found.locked.keys() == {"classifier"}
    one = torch.tensor([True, False, True, True, False, False, True, False])
    other = torch.tensor([False, True, True, False, True, True])
    assert compact_gap(kind, {"conv1": one, "conv2": other}) < 1e-5


def test_chunks_that_are_added_are_of_one_class() -> None:
    classes = described(ByChunks).layers["conv1"].classes
    assert classes[:4].tolist() == classes[4:].tolist()
    assert len(set(classes.tolist())) == 4
    assert len(set(described(ByDims).layers["conv1"].classes.tolist())) == 8


def test_functions_on_the_parameters_of_layers_are_those_layers() -> None:
    found = described(Functional)
    layers = [step for step in found.steps if isinstance(step, Layer)]
    assert [(step.name, step.functional) for step in layers] == [("conv1", True), ("conv2", True), ("classifier", True)]
    (norm,) = (step for step in found.steps if isinstance(step, Scale))
    assert (norm.module, norm.functional, norm.is_batch_norm) == ("bn1", True, True)
    assert found.layers["conv1"].batch_norm == "bn1"
    assert found.readers("conv1") == ("conv2",)


def test_a_functional_batch_norm_still_learns_its_statistics_in_the_compact_network() -> None:
    """`training` is no constant of the pass that was traced."""
    small = emitted(network(Functional), described(Functional), {"conv1": torch.arange(8) < 5})
    before = small.state_dict()["bn1.running_mean"].clone()
    small.eval()(images())
    assert torch.equal(small.state_dict()["bn1.running_mean"], before)
    small.train()(images())
    assert not torch.equal(small.state_dict()["bn1.running_mean"], before)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ByValue, "TypeError: its forward branches on the value of a tensor"),
        (ByItem, "TypeError: its forward looks at values: item"),
        (ChangedConstant, r"RuntimeError: its forward changes a constant in place; write `s = s \* x` instead of `s \*= x`"),
        (ByItemBesideAConstant, "TypeError: its forward makes a number of a tensor"),
    ],
)
def test_a_forward_that_looks_at_values_is_refused(kind: type[Small], reason: str) -> None:
    said = (
        rf"^{kind.__name__} cannot be traced on images of 3x8x8 \({reason}\); its forward must not look at the values of tens"
    )
    with pytest.raises(ValueError, match=said):
        described(kind)


def test_what_the_networks_own_message_says_of_a_size_is_a_number() -> None:
    class Picky(Small):
        def between(self, x: Tensor) -> Tensor:
            """Raises ValueError."""
            msg = f"too small: {tuple(x.shape[2:])}, {x.shape[1]} channels"
            raise ValueError(msg)

    with pytest.raises(ValueError, match=re.escape("(ValueError: too small: (8, 8), 8 channels)")):
        described(Picky)


def test_tracing_leaves_the_network_and_torch_as_they_were() -> None:
    made = network(Functional)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    logits = made(images())
    with pytest.raises(ValueError, match="cannot be traced"):
        describe(outlined(network(ByValue)), SHAPE)
    describe(outlined(made), SHAPE)
    assert torch.equal(made(images()), logits)
    assert all(torch.equal(before[name], tensor) for name, tensor in made.state_dict().items())
