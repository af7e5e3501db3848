"""Zero filters with shifts: taken in exactly by what reads them, or refused by name; the function never changes."""

import copy
from pathlib import Path

import pytest
import torch

from lib.channels.description import Prunable
from lib.compaction.compact import compact
from lib.compaction.constants import silence_
from lib.compaction.proof import check_zeros, gap_in_double, verify
from lib.masks.filters import Masks, full
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from tests import odd_networks
from tests.networks_for_tests import ALL, images, lived_in, random_masks


@torch.no_grad()
def softly_pruned(network: Network, masks: Masks) -> None:
    """What SFP leaves: weights of dropped filters are zero, biases and batch norms are as they were trained."""
    for name, weight in network.filters().items():
        weight[~masks[name]] = 0.0


@torch.no_grad()
def answer_(network: Network, layer: Prunable, channel: int, value: float) -> None:
    """Let a zero filter give `value`: by its bias, or by the mean and the shift of its batch norm together."""
    batch_norm, bias = network.batch_norm(layer), network.get_submodule(layer.name).bias
    if batch_norm is None:
        bias[channel] = value
        return
    assert batch_norm.running_mean is not None
    assert batch_norm.running_var is not None
    scale = batch_norm.weight[channel] / (batch_norm.running_var[channel] + batch_norm.eps).sqrt()
    before = 0.0 if bias is None else bias[channel]
    batch_norm.bias[channel] = value - scale * (before - batch_norm.running_mean[channel])


def one_dropped(name: str, conv: str, value: float, channel: int = 2) -> tuple[Network, Kept]:
    network = lived_in(name)
    masks = full(network)
    masks[conv][channel] = False
    softly_pruned(network, masks)
    answer_(network, network.description.layers[conv], channel, value)
    return network, Kept(masks)


def unchanged(network: Network, kept: Kept, *, moved: bool) -> None:
    """Silencing changes no logit, and afterwards the compact network equals the one given."""
    given = copy.deepcopy(network)
    assert silence_(network, kept) == moved
    check_zeros(network, kept, Path("a.safetensors"))
    batch = images(network, 4)
    assert gap_in_double(given, network, batch).relative < (1e-5 if moved else 1e-12)
    assert gap_in_double(given, compact(network, kept, "coupled"), batch).relative < (1e-5 if moved else 1e-9)
    verify(network, compact(network, kept, "scatter"), [batch])


INNER = [
    ("resnet8", "layer2.0.conv1"),
    ("vgg11", "features.4"),
    ("resnet50", "layer1.0.conv1"),
    ("resnet18", "layer1.0.conv1"),
]


@pytest.mark.parametrize(("name", "conv"), INNER)
def test_what_a_relu_cuts_off_goes_as_it_is(name: str, conv: str) -> None:
    unchanged(*one_dropped(name, conv, -0.4), moved=False)


@pytest.mark.parametrize(("name", "conv"), INNER)
def test_what_a_padded_convolution_reads_is_refused_by_name_and_nothing_is_changed(name: str, conv: str) -> None:
    network, kept = one_dropped(name, conv, 0.4)
    before = copy.deepcopy(network.state_dict())
    batch_norm = network.description.layers[conv].batch_norm
    with pytest.raises(ValueError, match=rf"what follows cannot take in exactly: {batch_norm} \(1\); without these channels"):
        silence_(network, kept)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "conv"),
    [
        ("resnet50", "layer1.0.conv2"),  # a 1x1 convolution reads it
        ("resnet50", "conv1"),  # two of them do, behind a max-pooling
        ("vgg11", "features.25"),  # the linear head does, behind poolings
    ],
)
def test_what_is_read_without_padding_is_moved_into_the_reader(name: str, conv: str) -> None:
    unchanged(*one_dropped(name, conv, 0.4), moved=True)


@pytest.mark.parametrize("value", [0.4, -0.4])
def test_a_constant_added_to_a_stream_is_refused_where_others_write_the_channel(value: float) -> None:
    network, kept = one_dropped("resnet8", "layer1.0.conv2", value)
    with pytest.raises(ValueError, match=r"layer1\.0\.bn2 \(1\)"):
        silence_(network, kept)


def test_the_stem_is_cut_off_by_its_own_relu_before_it_begins_a_stream() -> None:
    unchanged(*one_dropped("resnet8", "conv1", -0.4), moved=False)


@pytest.mark.parametrize("shortcut", ["end", "both"])
def test_a_stream_channel_that_nobody_writes_goes_where_its_constants_are_not_positive(shortcut: str) -> None:
    network = lived_in("resnet8", shortcut=shortcut)  # type: ignore[arg-type]
    masks, carried = full(network), (8 if shortcut == "both" else 0)
    for conv, channel in (("conv1", 3), ("layer1.0.conv2", 3), ("layer2.0.conv2", 3 + carried)):
        masks[conv][channel] = False
    softly_pruned(network, masks)
    for layer in network.layers:
        if not masks[layer.name].all():
            answer_(network, layer, int((~masks[layer.name]).nonzero()[0]), -0.4)
    unchanged(copy.deepcopy(network), Kept(masks), moved=False)
    masks["conv1"][3] = True  # now something is there, and the later constants change it
    with pytest.raises(ValueError, match=r"layer1\.0\.bn2 \(1\), layer2\.0\.bn2 \(1\)"):
        silence_(network, Kept(masks))


# Not those that end in a concatenation, a depthwise or a linear layer with something of their own behind zero filters.
SEQUENTIAL = [name for name in ALL if name.startswith(("resnet", "vgg")) and name != "resnet110"]


@pytest.mark.parametrize("name", [*SEQUENTIAL, "googlenet"])
def test_random_soft_masks_never_change_the_function_unseen(name: str) -> None:
    """Either the network stays what it was, or it is refused; random shifts everywhere must be refused."""
    network = lived_in(name)
    masks = random_masks(network)
    softly_pruned(network, masks)
    with pytest.raises(ValueError, match=r"and [0-9]+ more; without these channels"):
        silence_(network, Kept(masks))
    for layer in network.layers:
        for channel in (~masks[layer.name]).nonzero().flatten().tolist():
            answer_(network, layer, channel, -0.3)
        if layer.part in ("last", "projection"):
            batch_norm, dropped = network.batch_norm(layer), ~masks[layer.name]
            with torch.no_grad():
                batch_norm.weight[dropped] = batch_norm.bias[dropped] = 0.0
    given, batch = copy.deepcopy(network), images(network, 2)
    assert not silence_(network, Kept(masks))
    assert gap_in_double(given, network, batch).relative < 1e-9


def shifted(kind: str, *dropped: str) -> tuple[Network, Kept]:
    network = odd_networks.network(odd_networks.SHIFTED, kind=kind)
    masks = full(network)
    for layer in network.layers:
        if layer.name in dropped:
            masks[layer.name][3] = False
            answer_(network, layer, 3, 0.4)
    softly_pruned(network, masks)
    return network, Kept(masks)


@pytest.mark.parametrize(
    "kind",
    [
        "half",
        "learnt factor",
        "slopes",
        "instance norm",
        "average",
        "less",
        "larger",
        "total",
        "to its device",
        "no statistics",
    ],
)
def test_a_constant_is_followed_through_what_is_computed_of_it(kind: str) -> None:
    """A factor, a difference or a sum over pixels was passed as if it changed nothing."""
    unchanged(*shifted(kind, "conv1", "conv2") if kind in ("less", "larger") else shifted(kind, "conv2"), moved=True)


@pytest.mark.parametrize("kind", ["gated", "computed factor", "zeros around", "average with zeros", "named like a method"])
def test_what_is_no_constant_any_more_is_refused(kind: str) -> None:
    network, kept = shifted(kind, "conv2")
    with pytest.raises(ValueError, match=r"what follows cannot take in exactly: bn2 \(1\)"):
        silence_(network, kept)


def test_a_bias_that_a_call_does_not_add_is_no_constant() -> None:
    unchanged(*shifted("without its bias", "conv2"), moved=False)


def test_a_mean_that_another_call_uses_takes_no_constant() -> None:
    network, kept = shifted("a norm for both", "conv2")
    assert network.batch_norm(network.description.layers["between"]) is None
    with pytest.raises(ValueError, match=r"bn2 \(1\)"):
        silence_(network, kept)


@pytest.mark.parametrize("kind", ["from two", "learnt factors"])
def test_where_something_is_made_of_zero_a_constant_is_refused_or_stays(kind: str) -> None:
    network, kept = shifted(kind, "conv2")
    with pytest.raises(ValueError, match=r"bn2 \(1\)"):
        silence_(network, kept)


def test_filters_that_were_zeroed_here_are_left_alone() -> None:
    network = lived_in("resnet8")
    masks = random_masks(network)
    apply_(network, Kept(masks))
    before = copy.deepcopy(network.state_dict())
    assert not silence_(network, Kept(masks))
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
