"""ResNets for ImageNet, torchvision's own: pruned anywhere, projections too."""

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from lib.compaction.compact import compact
from lib.compaction.proof import verify
from lib.masks.filters import Masks, full
from lib.masks.kept import Kept, apply_
from lib.networks.architecture import Mode
from lib.networks.network import Network
from tests.networks_for_tests import coupled_masks, images, lived_in, random_masks, writers


def _lonely_projections(network: Network) -> Masks:
    """One filter of every projection, all of the others."""
    masks = full(network)
    for layer in network.layers:
        if layer.part == "projection":
            masks[layer.name][:-1] = False
    return masks


def _whole_projections(network: Network) -> Masks:
    """Random masks of all but the projections."""
    projections = {layer.name for layer in network.layers if layer.part == "projection"}
    return random_masks(network) | {name: mask for name, mask in full(network).items() if name in projections}


def _shared(network: Network) -> Masks:
    return coupled_masks(network, 0.6)


@pytest.mark.parametrize(
    ("name", "choose"),
    [
        *((name, choose) for name in ("resnet18", "resnet50", "resnet101") for choose in (random_masks, _shared)),
        *((name, choose) for name in ("resnet18", "resnet50") for choose in (_lonely_projections, _whole_projections)),
    ],
)
def test_compact_equals_masked(name: str, choose: Callable[[Network], Masks]) -> None:
    network = lived_in(name).double()
    masks = choose(network)
    apply_(network, Kept(masks))
    batch = images(network, 2, dtype=torch.float64)
    modes: tuple[Mode, ...] = ("scatter", "coupled")
    with torch.no_grad():
        expected = network(batch)
        apart = float((expected[0] - expected[1]).abs().max())  # an answer that is the same for all would prove nothing
        for mode in modes:
            small = compact(network, Kept(masks), mode)
            assert (expected - small(batch)).abs().max() < min(1e-9, 1e-3 * apart)
            assert all(len(small.weight(layer.name)) == int(masks[layer.name].sum()) for layer in network.layers)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_verify_and_a_second_build_agree_with_narrow_projections(name: str) -> None:
    network = lived_in(name)
    masks = random_masks(network)
    apply_(network, Kept(masks))
    found = verify(network, compact(network, Kept(masks), "coupled"), [images(network, 2)])
    assert found.float64 < 1e-9


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_channels_last_changes_nothing(name: str) -> None:
    network = lived_in(name).double()
    small = compact(network, Kept(random_masks(network)), "scatter")
    batch = images(network, 2, dtype=torch.float64)
    with torch.no_grad():
        expected = small(batch)
        got = small.to(memory_format=torch.channels_last)(batch.contiguous(memory_format=torch.channels_last))
    assert (expected - got).abs().max() < 1e-9


def test_coupled_drops_stream_channels_that_no_writer_uses_and_keeps_those_of_any() -> None:
    network = lived_in("resnet18")
    masks = full(network)
    for layer in network.layers:
        if layer.name.startswith("layer2") and layer.part in ("projection", "last"):
            masks[layer.name] = torch.arange(128) == {"projection": 5, "last": 9}[layer.part]
    small, whole = (compact(network, Kept(masks), mode) for mode in ("coupled", "scatter"))
    assert small.weight("layer3.0.conv1").shape[1] == 2
    assert whole.weight("layer3.0.conv1").shape[1] == 128


def test_stem_of_basic_blocks_begins_the_first_stream_and_that_of_bottlenecks_stands_alone() -> None:
    for name, others in (("resnet18", {"layer1.0.conv2", "layer1.1.conv2"}), ("resnet50", set())):
        network = lived_in(name)
        assert set(writers(network, "conv1")) == {"conv1"} | others
        masks = full(network)
        masks["conv1"] = torch.zeros(64, dtype=torch.bool).index_fill(0, torch.tensor([3, 7]), value=True)
        for mode in get_args(Mode):
            small = compact(network, Kept(masks), mode)
            assert small.weight("layer1.0.conv1").shape[1] == 2  # the stem alone has written what it reads
            assert small.weight("layer1.1.conv1").shape[1] == (64 if others else 256)  # the blocks write all channels


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_compact_network_with_narrow_projections_can_be_trained_on(name: str) -> None:
    network = lived_in(name)
    small = compact(network, Kept(random_masks(network)), "scatter").train()
    small(images(network, 4)).logsumexp(1).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in small.parameters())


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_images_may_have_any_size_from_32(size: tuple[int, int]) -> None:
    assert lived_in("resnet18", in_channels=1)(torch.zeros(1, 1, *size)).shape == (1, 10)


@pytest.mark.parametrize(("name", "expansion"), [("resnet18", 1), ("resnet50", 4)])
def test_taps_are_the_outputs_of_the_stages_and_the_input_of_the_classifier(name: str, expansion: int) -> None:
    network = lived_in(name)
    shapes: dict[str, tuple[int, ...]] = {}

    def observe(tap: str, end: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            shapes[tap] = tuple((inputs[0] if end == "input" else output).shape)

        return hook

    for tap, shown in network.taps.items():
        assert shown is not None
        module, end, _ = shown
        network.get_submodule(module).register_forward_hook(observe(tap, end))
    network(images(network, 1))
    stages = {f"stage{stage}": (1, 2 ** (5 + stage) * expansion, *[2 ** (5 - stage)] * 2) for stage in (1, 2, 3, 4)}
    found = {tap: shape for tap, shape in shapes.items() if not tap.startswith("block")}
    assert found == {**stages, "penultimate": (1, 512 * expansion)}
