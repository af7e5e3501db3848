"""Where networks can be looked at, and that a compact one shows there what the masked one does."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.channels.description import describe
from lib.channels.observing import Tap, observable
from lib.channels.tracing import outlined
from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.networks import build, outline
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.randomness import stream
from lib.training.taps import Tapped
from tests.networks_for_tests import images, lived_in, random_masks


def _outline(name: str, side: int) -> Network:
    return outline(Architecture(name, 10, 3, (side, side)))


def _shapes(network: Network, side: int) -> dict[str, tuple[int, ...]]:
    """By tap, the shape of what is seen there."""
    with torch.no_grad():
        found = Tapped(network, tuple(network.taps))(torch.zeros(1, 3, side, side, device=network.device))
    return {tap: tuple(feature.shape[1:]) for tap, feature in found.features.items()}


@pytest.mark.parametrize("side", [4, 8, 32])
def test_resnet20_has_three_stages_of_three_blocks_at_any_size(side: int) -> None:
    network = _outline("resnet20", side).eval()
    stages = {f"stage{place}": Tap(f"layer{place}", "output") for place in (1, 2, 3)}
    inner = [
        Tap(f"layer{stage}.{block}" if block < 2 else f"layer{stage}", "output") for stage in (1, 2, 3) for block in range(3)
    ]
    blocks = {f"block{place}": tap for place, tap in enumerate(inner, 1)}
    assert network.taps == {**stages, **blocks, "penultimate": Tap("classifier", "input")}
    seen = _shapes(network, side)
    assert [seen[f"stage{place}"] for place in (1, 2, 3)] == [
        (16, side, side),
        (32, side // 2, side // 2),
        (64, side // 4, side // 4),
    ]
    assert seen["penultimate"] == (64,)


def test_vgg16_ends_its_stages_before_the_poolings() -> None:
    network = _outline("vgg16", 32).eval()
    seen = _shapes(network, 32)
    widths = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
    assert {tap: shape for tap, shape in seen.items() if tap.startswith("stage")} == {
        f"stage{place}": (width, 64 >> place, 64 >> place) for place, width in widths.items()
    }
    relus = [name for name, module in network.named_modules() if isinstance(module, nn.ReLU) and name.startswith("features")]
    assert len(relus) == 13
    assert [network.taps[f"block{place}"] for place in range(1, 14)] == [Tap(name, "output") for name in relus]
    assert network.taps["penultimate"] == Tap("classifier.0", "input")


def test_vgg_has_no_stage_of_poolings_alone() -> None:
    assert [tap for tap in _outline("vgg11", 64).taps if tap.startswith("stage")] == [f"stage{place}" for place in range(1, 6)]


@pytest.mark.parametrize("side", [32, 64])
def test_mobilenet_ends_its_stages_with_the_last_sum_of_each_size(side: int) -> None:
    network = _outline("torchvision:mobilenet_v2", side).eval()
    stages = ("features.3", "features.6", "features.13", "features.16")
    blocks = [f"features.{place}" for place in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]
    assert network.taps == {
        **{f"stage{place}": Tap(name, "output") for place, name in enumerate(stages, 1)},
        **{f"block{place}": Tap(name, "output") for place, name in enumerate(blocks, 1)},
        "penultimate": Tap("classifier.1", "input"),
    }
    seen = _shapes(network, side)
    assert [seen[f"stage{place}"] for place in (1, 2, 3, 4)] == [
        (width, -(-side // pixels), -(-side // pixels)) for width, pixels in ((24, 4), (32, 8), (96, 16), (160, 32))
    ]
    assert seen["penultimate"] == (1280,)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_stages_of_an_imagenet_resnet_do_not_end_inside_a_bottleneck(name: str) -> None:
    taps = _outline(name, 64).taps
    assert [taps[f"stage{place}"] for place in (1, 2, 3, 4)] == [Tap(f"layer{place}", "output") for place in (1, 2, 3, 4)]
    assert "stage5" not in taps


def test_concatenations_end_blocks() -> None:
    taps = _outline("densenet40", 8).taps
    assert [taps[f"stage{place}"] for place in (1, 2, 3)] == [Tap(f"block{place}", "output") for place in (1, 2, 3)]
    assert sum(tap.startswith("block") for tap in taps) == 36


class Flat(nn.Module):
    """Sums between functions alone; the reader of each shows it. Its last layer is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.conv3, self.last = nn.Conv2d(6, 5, 3, stride=2), nn.Conv2d(5, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, 10)."""
        x = self.conv1(x)
        x = functional.relu(self.conv2(functional.relu(x)) + x)
        return self.last(functional.relu(self.conv3(x))).mean((2, 3))  # type: ignore[no-any-return]


def test_a_value_that_no_module_gives_is_seen_by_the_one_that_reads_it() -> None:
    taps = observable(describe(outlined(Flat()), (3, 8, 8)))
    assert taps == {"stage1": Tap("conv3", "input"), "block1": Tap("conv3", "input"), "penultimate": Tap("last", "input")}


class Chained(nn.Module):
    """Sums of sums, and a concatenation of one. Its classifier is called as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(width, 6, 3, padding=1) for width in (3, 6, 6))
        self.relu, self.last = nn.ReLU(), nn.Linear(18, 10)
        self.flat = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, 10)."""
        one = self.conv1(x)
        two = self.conv2(one)
        three = self.relu(one + two + self.conv3(two))
        four = self.relu(torch.cat([torch.cat([three, two], 1), one], 1))
        return functional.linear(self.flat(four.mean((2, 3))), self.last.weight, self.last.bias)


def test_of_sums_of_sums_the_last_ends_a_block_and_of_concatenations_too() -> None:
    taps = observable(describe(outlined(Chained()), (3, 8, 8)))
    sums, concatenated = Tap("relu", "output", 0), Tap("relu", "output", 1)
    flat = Tap("flat", "output")  # the layer behind it is no call of a module
    assert taps == {"stage1": concatenated, "block1": sums, "block2": concatenated, "penultimate": flat}


def _pair(name: str, mode: Mode, seed: int = 0) -> tuple[Network, Network]:
    """A masked network and its compact form, in float64."""
    masked = lived_in(name, seed).double()
    masks = random_masks(masked, seed)
    apply_(masked, Kept(masks))
    return masked, compact(masked, Kept(masks), mode)


@pytest.mark.parametrize("name", ["resnet20", "vgg11", "resnet18", "mobilenet_v2_cifar", "densenet40"])
@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_a_compact_network_shows_at_each_tap_what_the_masked_one_does(name: str, mode: Mode) -> None:
    """Channels that nothing writes or nothing reads may be gone: what is left is among the masked network's, in order."""
    masked, small = _pair(name, mode)
    assert small.taps.keys() == masked.taps.keys()
    assert all(tap is not None and tap.module in dict(small.named_modules()) for tap in small.taps.values())
    batch = images(masked, 2, dtype=torch.float64)
    with torch.no_grad():
        wide, narrow = (Tapped(network, tuple(network.taps))(batch).features for network in (masked, small))
    assert wide.keys() == narrow.keys() == masked.taps.keys()
    for tap, feature in narrow.items():
        assert feature.shape[2:] == wide[tap].shape[2:]
        assert _in_order(feature, wide[tap])


def _in_order(narrow: Tensor, wide: Tensor) -> bool:
    """Whether the channels of one are some of the other's, in their order."""
    left = list(wide.unbind(1))
    for channel in narrow.unbind(1):
        while left and not torch.allclose(left[0], channel, atol=1e-9):
            left.pop(0)
        if not left:
            return False
        left.pop(0)
    return True


def test_a_residual_stream_is_seen_whole_in_scatter_and_cut_in_coupled() -> None:
    (masked, whole), (_, cut) = _pair("resnet20", "scatter"), _pair("resnet20", "coupled")
    batch = images(masked, 2, dtype=torch.float64)
    with torch.no_grad():
        features = [Tapped(network, ("stage1", "stage3", "penultimate"))(batch).features for network in (masked, whole, cut)]
    for tap, expected in features[0].items():
        torch.testing.assert_close(features[1][tap], expected)
        there = expected.flatten(2).ne(0).any(2).any(0) if expected.dim() > 2 else expected.ne(0).any(0)
        assert int(there.sum()) <= features[2][tap].shape[1] <= expected.shape[1]


def test_taps_add_nothing_to_the_weights_of_a_compact_network() -> None:
    masked, small = _pair("resnet20", "coupled")
    assert small.state_dict().keys() == masked.state_dict().keys()
    assert [name for name, _ in small.named_parameters() if "tap" in name] == []


def test_a_compact_network_that_is_built_again_has_the_same_taps() -> None:
    _, small = _pair("resnet20", "scatter")
    assert build(small.architecture, stream(0, "initialisation")).taps == small.taps
    assert outline(small.architecture).taps == small.taps
