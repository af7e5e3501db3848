"""ResNets for ImageNet: torchvision's function to the digit, and pruning anywhere."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lib.compaction.compact import Mode, channel_plan, compact
from lib.compaction.proof import verify
from lib.masks.filters import Masks, full
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.description import Architecture
from lib.networks.network import Network
from lib.randomness import stream
from tests.networks_for_tests import coupled_masks, images, lived_in, random_masks


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("resnet18", 75), ("resnet50", 64)])
@torch.no_grad()
def test_logits_are_those_of_torchvision(name: str, size: int) -> None:
    from torchvision import models

    theirs = models.get_model(name, num_classes=10).eval()
    ours = lived_in(name)
    state = {key.replace("classifier.", "fc."): value for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    batch = torch.randn(2, 3, size, size, generator=stream(0, "images"))
    expected = theirs(batch)
    assert expected.std() > 1e-2
    assert torch.allclose(ours(batch), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def _lonely_projections(network: Network) -> Masks:
    """One filter of every projection, all of the others."""
    masks = full(network)
    for wire in network.wires:
        if wire.part == "projection":
            masks[wire.conv][:-1] = False
    return masks


def _whole_projections(network: Network) -> Masks:
    """Random masks of all but the projections."""
    projections = {wire.conv for wire in network.wires if wire.part == "projection"}
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
        assert expected[0].sub(expected[1]).abs().max() > 1e-6  # an answer that is the same for all would prove nothing
        for mode in modes:
            small = compact(network, Kept(masks), mode)
            assert (expected - small(batch)).abs().max() < 1e-9
            assert all(small.conv(wire).out_channels == int(masks[wire.conv].sum()) for wire in small.wires)


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
    for wire in network.wires:
        if wire.writes == "layer2":
            masks[wire.conv] = torch.arange(128) == {"projection": 5, "last": 9}[wire.part]
    assert channel_plan(network, Kept(masks), "coupled").spaces["layer2"] == (5, 9)
    assert channel_plan(network, Kept(masks), "scatter").spaces["layer2"] == tuple(range(128))


def _behind_stem(name: str, mode: Mode) -> tuple[list[int], int]:
    """The channels that are not zero behind a stem that keeps filters 3 and 7, and how many there are in all."""
    network = lived_in(name)
    masks = full(network)
    masks["conv1"] = torch.zeros(64, dtype=torch.bool).index_fill(0, torch.tensor([3, 7]), value=True)
    small = compact(network, Kept(masks), mode)
    found: list[Tensor] = []
    small.get_submodule("spread").register_forward_hook(lambda _module, _inputs, output: found.append(output))
    small(images(network, 1))
    return found[0][0].flatten(1).any(1).nonzero().flatten().tolist(), found[0].shape[1]


def test_stem_of_basic_blocks_begins_the_first_stream_and_that_of_bottlenecks_stands_alone() -> None:
    assert _behind_stem("resnet18", "scatter") == ([3, 7], 64)
    assert _behind_stem("resnet50", "scatter") == ([0, 1], 2)


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

    for tap, (module, end) in network.taps.items():
        network.get_submodule(module).register_forward_hook(observe(tap, end))
    network(images(network, 1))
    stages = {f"stage{stage}": (1, 2 ** (5 + stage) * expansion, *[2 ** (5 - stage)] * 2) for stage in (1, 2, 3, 4)}
    assert shapes == {**stages, "penultimate": (1, 512 * expansion)}


def test_hidden_layers_are_linear_layers_before_the_last() -> None:
    network = build(Architecture("resnet18", 10, 3, hidden=(20,)), stream(0, "initialisation"))
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(20, 512), (10, 20)]
    assert network.head == "classifier.0"
