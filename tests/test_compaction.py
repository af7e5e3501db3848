from pathlib import Path

import pytest
import torch

from lib import checkpoint
from lib.checkpoint import Checkpoint
from lib.compaction import Mode, channel_plan, compact, verify
from lib.cost import count
from lib.networks.network import Network
from lib.pruning.masks import apply_, full
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from tests.small_networks import RESNETS, VGGS, images, lively, size_of, uneven_masks


def masked(name: str, seed: int = 0) -> tuple[Network, dict[str, torch.Tensor]]:
    network = lively(name, seed)
    masks = uneven_masks(network, seed)
    apply_(network, masks)
    return network, masks


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize(
    ("name", "seed"),
    [
        *((name, seed) for name in RESNETS[:4] for seed in range(5)),
        *((name, 0) for name in RESNETS[4:]),
        *((name, 0) for name in VGGS),
    ],
)
def test_compact_equals_masked_for_uneven_masks_and_random_statistics(name: str, seed: int, mode: Mode) -> None:
    network, masks = masked(name, seed)
    small = compact(network, masks, mode)
    batch = images(name)
    with torch.no_grad():
        expected, got = network(batch), small(batch)
    assert expected.std() > 1e-6  # a network that answers the same to everything would prove nothing
    assert (expected - got).abs().max() < 1e-9
    for wire in network.wires:
        assert small.conv(wire).out_channels == int(masks[wire.conv].sum())


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "vgg11"])
def test_coupled_is_never_larger_than_scatter_and_smaller_with_shared_masks(name: str) -> None:
    network = lively(name)
    masks = Selection(network, 0.5, coupled=True).choose(uniform(network.filters(), torch.Generator().manual_seed(0)))
    apply_(network, masks)
    shape = (3, size_of(name), size_of(name))
    scatter, coupled = (count(compact(network, masks, mode), shape) for mode in ("scatter", "coupled"))
    if name.startswith("vgg"):
        assert scatter == coupled  # no streams to shrink
    else:
        assert coupled.params < scatter.params
        assert coupled.total_macs < scatter.total_macs


def test_scatter_keeps_streams_whole_and_coupled_keeps_what_is_carried() -> None:
    network, masks = masked("resnet20")
    assert channel_plan(network, masks, "scatter").spaces["layer2"] == tuple(range(32))
    spaces = channel_plan(network, masks, "coupled").spaces
    assert set(spaces["layer1"]) <= set(spaces["layer2"])
    assert set(spaces["layer2"]) <= set(spaces["layer3"])


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize("name", ["resnet14", "vgg11"])
def test_keeping_everything_is_the_identity(name: str, mode: Mode) -> None:
    network = lively(name)
    small = compact(network, full(network), mode)
    for (key, tensor), same in zip(network.state_dict().items(), small.state_dict().values(), strict=True):
        assert torch.equal(tensor, same), key


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_compact_network_can_be_trained_on(mode: Mode) -> None:
    network, masks = masked("resnet8")
    small = compact(network, masks, mode).train()
    small(images("resnet8", 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


@pytest.mark.parametrize("name", ["resnet20", "vgg11"])
@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_compact_network_survives_its_file(name: str, mode: Mode, tmp_path: Path) -> None:
    network, masks = masked(name)
    small = compact(network.float(), masks, mode)
    shape = (3, size_of(name), size_of(name))
    checkpoint.save(tmp_path / "small.safetensors", Checkpoint(small, None, shape, (0.5,) * 3, (0.2,) * 3))
    again = checkpoint.load(tmp_path / "small.safetensors").network
    batch = images(name).float()
    assert torch.equal(small(batch), again(batch))


def test_verify_passes_equal_networks_and_says_how_equal() -> None:
    network, masks = masked("resnet8")
    small = compact(network.float(), masks, "scatter")
    found = verify(network, small, [images("resnet8", 8).float()])
    assert found.images == 8
    assert found.changed_predictions == 0
    assert found.float64 < 1e-9


@pytest.mark.parametrize("value", [1e-3, float("nan")])
def test_verify_refuses_a_network_that_is_not_equal(value: float) -> None:
    network, masks = masked("resnet8")
    small = compact(network.float(), masks, "scatter")
    with torch.no_grad():
        small.get_parameter("classifier.bias")[0] += value
    with pytest.raises(ValueError, match="the compact network is not equal to the masked one"):
        verify(network, small, [images("resnet8").float()])


def test_verify_refuses_when_masks_were_not_applied() -> None:
    network = lively("resnet8").float()
    small = compact(network, uneven_masks(network), "scatter")
    with pytest.raises(ValueError, match="not equal"):
        verify(network, small, [images("resnet8").float()])


def test_compact_network_is_not_compacted_again() -> None:
    network, masks = masked("resnet8")
    small = compact(network, masks, "scatter")
    with pytest.raises(ValueError, match="compact already"):
        compact(small, full(small), "scatter")
