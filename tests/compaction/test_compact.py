from pathlib import Path

import pytest
import torch
from torch import nn

from lib.compaction.compact import compact
from lib.compaction.proof import Gap, check_zeros, gap, verify
from lib.cost.macs import count
from lib.formats import checkpoint
from lib.formats.checkpoint import Checkpoint
from lib.masks.filters import full
from lib.masks.kept import Kept, apply_
from lib.masks.weights import weights
from lib.networks.architecture import Mode
from lib.networks.network import Network
from lib.networks.resnet import Shortcut
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from tests.networks_for_tests import ALL, images, live_in_the_head_, lived_in, random_masks, side


def masked(name: str, seed: int = 0, shortcut: Shortcut = "end") -> tuple[Network, dict[str, torch.Tensor]]:
    network = lived_in(name, seed, shortcut=shortcut).double()
    live_in_the_head_(network, stream(seed, "head"))
    masks = random_masks(network, seed)
    apply_(network, Kept(masks))
    return network, masks


@pytest.mark.grid
@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize(
    ("name", "seed", "shortcut"),
    [
        *((name, 0, "end") for name in ALL),
        *((name, seed, "end") for name in ALL[:4] for seed in range(1, 5)),
        *((name, seed, "both") for name in ("resnet8", "resnet20", "resnet8x2") for seed in range(3)),
    ],
)
def test_compact_equals_masked_for_random_masks_and_random_statistics(
    name: str, seed: int, shortcut: Shortcut, mode: Mode
) -> None:
    network, masks = masked(name, seed, shortcut)
    small = compact(network, Kept(masks), mode)
    batch = images(network, 2, dtype=torch.float64)
    with torch.no_grad():
        expected, got = network(batch), small(batch)
    apart = float((expected[0] - expected[1]).abs().max())  # an answer that is the same to everything would prove nothing
    assert (expected - got).abs().max() < min(1e-9, 1e-3 * apart)
    for layer in network.layers:
        assert len(small.weight(layer.name)) == int(masks[layer.name].sum())


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "vgg11"])
def test_coupled_is_never_larger_than_scatter_and_smaller_with_shared_masks(name: str) -> None:
    network = lived_in(name).double()
    masks = Selection(network, 0.5, coupled=True).choose(uniform(network.filters(), torch.Generator().manual_seed(0)))
    apply_(network, Kept(masks))
    shape = (3, side(name), side(name))
    scatter, coupled = (count(compact(network, Kept(masks), mode), shape) for mode in ("scatter", "coupled"))
    if name.startswith("vgg"):
        assert scatter == coupled  # no streams to shrink
    else:
        assert coupled.params < scatter.params
        assert coupled.total_macs < scatter.total_macs


def test_scatter_keeps_streams_whole_and_coupled_keeps_what_is_carried() -> None:
    network, masks = masked("resnet20")
    first, second, third = (_written(masks, stage) for stage in (1, 2, 3))
    second[:16] |= first
    third[:32] |= second
    scatter, coupled = (_read(compact(network, Kept(masks), mode)) for mode in ("scatter", "coupled"))
    assert scatter == [16, 32, 64]
    assert coupled == [int(first.sum()), int(second.sum()), int(third.sum())]


def test_channels_carried_between_zeros_stay_where_they_arrive() -> None:
    network, masks = masked("resnet20", shortcut="both")
    first, second, third = (_written(masks, stage) for stage in (1, 2, 3))
    second[8:24] |= first
    third[16:48] |= second
    assert _read(compact(network, Kept(masks), "coupled")) == [int(first.sum()), int(second.sum()), int(third.sum())]


def _written(masks: dict[str, torch.Tensor], stage: int) -> torch.Tensor:
    """The channels that any layer adds to the stream of a stage of resnet20."""
    writers = [f"layer{stage}.{block}.conv2" for block in range(3)] + ["conv1"] * (stage == 1)
    return torch.stack([masks[name] for name in writers]).any(0)


def _read(small: Network) -> list[int]:
    """The channels that are read at the end of every stage of resnet20."""
    return [small.weight(name).shape[1] for name in ("layer2.0.conv1", "layer3.0.conv1", "classifier")]


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize("name", ["resnet14", "vgg11"])
def test_keeping_everything_is_the_identity(name: str, mode: Mode) -> None:
    network = lived_in(name).double()
    small = compact(network, Kept(full(network)), mode)
    before, after = network.state_dict(), small.state_dict()
    assert before.keys() == after.keys()
    assert [key for key, tensor in before.items() if not torch.equal(tensor, after[key])] == []


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_compact_network_can_be_trained_on(mode: Mode) -> None:
    network, masks = masked("resnet8")
    small = compact(network, Kept(masks), mode).train()
    small(images(network, 4, dtype=torch.float64)).sum().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


@pytest.mark.parametrize(("name", "shortcut"), [("resnet20", "end"), ("resnet20", "both"), ("vgg11", "end")])
@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_compact_network_survives_its_file(name: str, shortcut: Shortcut, mode: Mode, tmp_path: Path) -> None:
    network, masks = masked(name, shortcut=shortcut)
    small = compact(network.float(), Kept(masks), mode)
    shape = (3, side(name), side(name))
    checkpoint.save(tmp_path / "small.safetensors", Checkpoint(small, None, shape, (0.5,) * 3, (0.2,) * 3))
    again = checkpoint.load(tmp_path / "small.safetensors").network
    batch = images(network, 2)
    assert torch.equal(small(batch), again(batch))


def test_verify_passes_equal_networks_and_says_how_equal() -> None:
    network, masks = masked("resnet8")
    small = compact(network.float(), Kept(masks), "scatter")
    found = verify(network, small, [images(network, 8)])
    assert found.images == 8
    assert found.changed_predictions == 0
    assert found.float64 < 1e-9


@pytest.mark.parametrize("value", [1e-3, float("nan")])
def test_verify_refuses_a_network_that_is_not_equal(value: float) -> None:
    network, masks = masked("resnet8")
    small = compact(network.float(), Kept(masks), "scatter")
    with torch.no_grad():
        small.get_parameter("classifier.bias")[0] += value
    with pytest.raises(ValueError, match="the compact network is not equal to the masked one"):
        verify(network, small, [images(network, 2)])


class Tied(nn.Module):
    """Two logits, the second one larger by `more`, or in float64 by `more_in_double`, which later images have ten times."""

    def __init__(self, more: float, more_in_double: float) -> None:
        super().__init__()
        self.more, self.more_in_double = more, more_in_double

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        more = self.more_in_double * (1 + 9 * images) if images.dtype == torch.float64 else self.more + 0 * images
        return torch.cat([torch.ones_like(images), 1.0 + more], dim=1)


def test_of_two_equal_logits_float64_decides() -> None:
    """A test image of 10,000 had them, and the stage failed after the training."""
    batch = torch.zeros(3, 1)
    for one, other in ((1e-7, 1e-7 + 1e-14), (1e-15, -1e-15)):
        found = verify(Tied(1e-6, one), Tied(-1e-6, other), [batch, batch])
        assert (found.changed_predictions, found.ties, found.images) == (0, 6, 6)
        assert str(found).endswith("0 of 6 predictions changed, 6 more are ties")
    later = torch.ones(300, 1)  # past the images that are always compared in float64
    assert verify(Tied(1e-6, 5e-11), Tied(-1e-6, 0.0), [torch.zeros(256, 1), later]).ties == 556
    with pytest.raises(ValueError, match=r"556 of 556 predictions changed; they compute different things"):
        verify(Tied(1e-6, 5e-10), Tied(-1e-6, 0.0), [torch.zeros(256, 1), later])


def test_verify_refuses_logits_that_are_not_numbers_in_any_batch() -> None:
    network, masks = masked("resnet8")
    small = compact(network.float(), Kept(masks), "scatter")
    good = images(network, 2)
    with pytest.raises(ValueError, match="inf in float32"):
        verify(network, small, [good, good * float("nan")])  # both networks answer NaN: not a proof of equality


def test_limits_grow_with_the_logits_and_not_below_one() -> None:
    large, small = torch.tensor([[1e6, -3.0]]), torch.tensor([[1e-6, 0.5]])
    assert gap(large, large + 50.0).relative == pytest.approx(50.0 / 3.0)  # of the logit it happens to
    assert gap(large, large + torch.tensor([[50.0, 0.0]])).relative == pytest.approx(50.0 / 1e6)
    assert gap(small, small + 0.25) == Gap(0.25, 0.25)
    assert gap(small, small * torch.nan) == Gap(float("inf"), float("inf"))


def test_what_differs_by_rounding_alone_is_called_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    network, masks = masked("resnet8")
    small = compact(network.float(), Kept(masks), "scatter")
    monkeypatch.setattr("lib.compaction.proof.FLOAT32_LIMIT", 0.0)
    with pytest.raises(ValueError, match=r"not equal to the masked one.*equal in float64, so what differs is rounding$"):
        verify(network, small, [images(network, 2)])


@pytest.mark.parametrize("name", ALL)
def test_anything_left_in_one_masked_channel_is_found_in_every_network(name: str) -> None:
    network, masks = masked(name)
    network.float()
    check_zeros(network, Kept(masks), Path("a.safetensors"))
    layer = next(layer for layer in network.layers[1:] if not masks[layer.name].all())
    channel = int((~masks[layer.name]).nonzero()[0])
    parts = network.get_submodule(layer.name).named_parameters()
    left = {f"{layer.name}.{part}": values for part, values in parts}
    if (batch_norm := network.batch_norm(layer)) is not None:
        left |= {f"{layer.batch_norm}.{part}": getattr(batch_norm, part) for part in ("bias", "weight")}
    for parameter, values in left.items():
        before = values.detach().clone()
        with torch.no_grad():
            values[channel] = 1e-30
        with pytest.raises(ValueError, match=rf"^a\.safetensors is not zero where its masks drop filters: {parameter}; "):
            check_zeros(network, Kept(masks), Path("a.safetensors"))
        with torch.no_grad():
            values.copy_(before)


def test_a_single_weight_that_was_not_dropped_is_found_too() -> None:
    network = lived_in("resnet8")
    single = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights(network).items()}
    single["classifier"][3, 5] = False
    with pytest.raises(ValueError, match=r"drop filters: classifier\.weight; "):
        check_zeros(network, Kept(full(network), single), Path("a.safetensors"))


def test_verify_refuses_when_masks_were_not_applied() -> None:
    network = lived_in("resnet8").float()
    small = compact(network, Kept(random_masks(network)), "scatter")
    with pytest.raises(ValueError, match="not equal"):
        verify(network, small, [images(network, 2)])


def test_compact_network_is_not_compacted_again() -> None:
    network, masks = masked("resnet8")
    small = compact(network, Kept(masks), "scatter")
    with pytest.raises(ValueError, match="compact already"):
        compact(small, Kept(full(small)), "scatter")
