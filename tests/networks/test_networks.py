"""Networks: counts to the digit, any input, the option-A shortcut, and a deterministic start."""

import importlib
import math
import subprocess
import sys
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import nn

from lib.compaction.compact import compact
from lib.cost.macs import count
from lib.masks.kept import Kept, apply_
from lib.networks import build, outline
from lib.networks.architecture import Architecture, Mode
from lib.networks.resnet import WIDER, OptionA, Shortcut
from lib.params.named import FAMILIES
from lib.randomness import stream
from tests.networks_for_tests import ALL, IMAGENET, images, live_in_the_head_, lived_in, random_masks
from tests.tiny import ROOT

PARAMETERS = {  # with 10 classes
    # One block more in each stage: two 3x3 convolutions and their batch norms at widths 16, 32 and 64.
    "resnet8": 269_722 - 2 * (2 * 9 * (16**2 + 32**2 + 64**2) + 4 * (16 + 32 + 64)),
    "resnet14": 269_722 - 1 * (2 * 9 * (16**2 + 32**2 + 64**2) + 4 * (16 + 32 + 64)),
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    # Recorded with 1000 classes; the last layer has 512 and 2048 inputs and a bias.
    "resnet18": 11_689_512 - 513 * 990,
    "resnet50": 25_557_032 - 2049 * 990,
    "mobilenet_v2": 3_504_872 - 1281 * 990,
    "mobilenet_v2_cifar": 2_236_682,
    "densenet40": 1_059_298,
    "googlenet": 6_166_250,
    "vgg16_kdfs": 14_991_946,
    "vgg16_plain": 15_253_578 - 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512),
    "vgg11": 9_756_426,
    "vgg13": 9_941_322,
    "vgg16": 15_253_578,
    "vgg19": 20_565_834,
}
MACS = {  # of one 3x32x32 image, with 10 classes
    "resnet20": 40_551_040,
    "resnet32": 68_862_592,
    "resnet56": 125_485_696,
    "resnet110": 252_887_680,
    # Recorded with 1000 classes; the last layer has 512 inputs.
    "mobilenet_v2_cifar": 87_976_448,
    "densenet40": 282_917_328,
    "googlenet": 1_521_756_160,
    "vgg16_kdfs": 313_463_808,
    "vgg11": 153_800_704 - 512 * 990,
    "vgg13": 229_298_176 - 512 * 990,
    "vgg16": 314_232_832 - 512 * 990,
    "vgg19": 399_167_488 - 512 * 990,
}
RESNETS = tuple(name for name in ALL if name.startswith("resnet"))
VGGS = tuple(name for name in ALL if name.startswith("vgg") and not name.endswith("kdfs"))


def _parameters(name: str, num_classes: int) -> int:
    network = outline(Architecture(name, num_classes, 3))
    return sum(parameter.numel() for parameter in network.parameters())


def test_every_family_builds_the_networks_that_are_listed_as_its_own() -> None:
    built = [(name, family) for family in dict.fromkeys(FAMILIES.values()) for name in _family(family).BUILDERS]
    assert built == list(FAMILIES.items())


def test_a_network_loads_its_own_family_only() -> None:
    text = "import sys; from lib.networks import build; from lib.networks.architecture import Architecture; "
    text += "build(Architecture('vgg11', 10, 1)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    families = {f"lib.networks.{family}" for family in FAMILIES.values()}
    assert families & set(done.stdout.split()) == {"lib.networks.vgg"}


def _family(name: str) -> Any:
    return importlib.import_module(f"lib.networks.{name}")


@pytest.mark.parametrize("name", ALL)
def test_parameters_are_those_of_the_literature(name: str) -> None:
    assert _parameters(name, 10) == PARAMETERS[name]


@pytest.mark.parametrize(("depth", "factor"), WIDER)
def test_a_wider_resnet_has_every_layer_so_much_wider(depth: int, factor: int) -> None:
    plain, wider = (build(Architecture(name, 10, 3)) for name in (f"resnet{depth}", f"resnet{depth}x{factor}"))
    assert {k: factor * len(v) for k, v in plain.filters().items()} == {k: len(v) for k, v in wider.filters().items()}
    stem, linear = 3 * 9 * 16 * 32 * 32, 64 * 10
    inside = count(plain, (3, 32, 32)).total_macs - stem - linear
    assert count(wider, (3, 32, 32)).total_macs == factor**2 * inside + factor * (stem + linear)
    assert wider(torch.zeros(1, 3, 8, 8)).shape == (1, 10)


@pytest.mark.parametrize("name", [name for name in RESNETS if name not in IMAGENET])
def test_hundred_classes_cost_5850_parameters_more(name: str) -> None:
    assert _parameters(name, 100) - _parameters(name, 10) == 5_850


def test_thousand_classes_cost_a_vgg_507870_parameters_more() -> None:
    assert _parameters("vgg16", 1000) - _parameters("vgg16", 10) == 507_870


@pytest.mark.parametrize("name", MACS)
def test_macs_are_those_of_the_literature(name: str) -> None:
    assert count(outline(Architecture(name, 10, 3)), (3, 32, 32)).total_macs == MACS[name]


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_take_the_digits(name: str) -> None:
    network = lived_in(name, in_channels=1)
    logits = network(images(network, 2))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [4, 7, 33])
def test_resnets_take_any_size_of_image(size: int) -> None:
    assert lived_in("resnet8")(torch.zeros(1, 3, size, size)).shape == (1, 10)


@pytest.mark.parametrize("in_channels", [1, 4])
def test_vgg_takes_any_number_of_channels_and_larger_images(in_channels: int) -> None:
    network = lived_in("vgg11", in_channels=in_channels, num_classes=7)
    assert network(torch.zeros(1, in_channels, 40, 64)).shape == (1, 7)


@pytest.mark.parametrize("name", VGGS)
def test_vgg_refuses_images_below_32_with_a_cure(name: str) -> None:
    with pytest.raises(ValueError, match=r"at least 32x32, got \(8, 8\); use a resnet"):
        build(Architecture(name, 10, 1))(torch.zeros(1, 1, 8, 8))


def test_vgg_refuses_hidden_layers_of_ones_own() -> None:
    with pytest.raises(ValueError, match=r"vgg11 cannot be built with .*hidden"):
        build(Architecture("vgg11", 10, 3).with_arguments({"hidden": [20]}))


def test_hidden_layers_of_a_resnet_are_linear_layers_before_the_last() -> None:
    network = build(Architecture("resnet8", 10, 3).with_arguments({"hidden": [20]}), stream(0, "initialisation"))
    classifier = network.get_submodule("classifier")
    shapes = [tuple(layer.weight.shape) for layer in classifier.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(20, 64), (10, 20)]
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 10)


def test_unknown_network_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"no network is called 'resnet21'; there are: resnet8, .*vgg19, "):
        build(Architecture("resnet21", 10, 3))


def _weighted(name: str) -> list[str]:
    network = build(Architecture(name, 10, 3))
    return [key for key, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("name", ["resnet8", "vgg11"])
def test_same_stream_gives_the_same_start_and_another_seed_another(name: str) -> None:
    first, again, other = (build(Architecture(name, 10, 3), stream(seed, "initialisation")).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(
        first["classifier.weight" if name == "resnet8" else "classifier.0.weight"],
        other["classifier.weight" if name == "resnet8" else "classifier.0.weight"],
    )


@pytest.mark.parametrize(("name", "linear"), [("resnet20", math.sqrt(2 / 64)), ("vgg11", 0.01)])
def test_initial_weights_have_the_documented_spread(name: str, linear: float) -> None:
    network = build(Architecture(name, 10, 3), stream(0, "initialisation"))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (9 * module.out_channels))
        elif isinstance(module, nn.Linear):
            expected = linear
        else:
            if isinstance(module, nn.BatchNorm2d):
                assert bool((module.weight == 1).all() and (module.bias == 0).all())
            continue
        # Five standard errors of a standard deviation.
        near = 5 / math.sqrt(2 * module.weight.numel())
        assert float(module.weight.detach().std()) == pytest.approx(expected, rel=near)
        assert abs(float(module.weight.detach().mean())) < 5 * expected / math.sqrt(module.weight.numel())
        assert module.bias is None or bool((module.bias == 0).all())


@pytest.mark.parametrize("size", [8, 7])
def test_shortcut_takes_every_second_pixel_and_appends_zeros_at_the_end(size: int) -> None:
    x = torch.randn(2, 16, size, size, generator=stream(0, "images"))
    out = OptionA(16, before=0)(x)
    assert torch.equal(out[:, :16], nn.functional.avg_pool2d(x, 1, 2))
    assert out.shape[1] == 32
    assert not out[:, 16:].any()


def test_shortcut_may_stand_between_its_zeros() -> None:
    x = torch.randn(2, 16, 8, 8, generator=stream(0, "images"))
    out = OptionA(16, before=8)(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def test_option_b_has_a_projection_where_a_stage_begins() -> None:
    network = lived_in("resnet20", shortcut="projection")
    projections = [layer.name for layer in network.layers if layer.part == "projection"]
    assert projections == ["layer2.0.shortcut.0", "layer3.0.shortcut.0"]
    assert [network.weight(name).shape for name in projections] == [(32, 16, 1, 1), (64, 32, 1, 1)]
    assert [module for module in network.modules() if isinstance(module, OptionA)] == []


def test_plain_vgg_has_no_batch_norm_and_is_compacted_exactly() -> None:
    network = lived_in("vgg16_plain").double()
    live_in_the_head_(network, stream(0, "head"))
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())
    assert [layer.batch_norm for layer in network.layers] == [None] * (13 + 2)
    masks = random_masks(network)
    apply_(network, Kept(masks))
    batch = images(network, 2, dtype=torch.float64)
    with torch.no_grad():
        expected = network(batch)
    apart = float((expected[0] - expected[1]).abs().max())
    for mode in get_args(Mode):
        small = compact(network, Kept(masks), mode)
        assert (expected - small(batch)).abs().max() < min(1e-9, 1e-3 * apart)
        assert {name: len(weight) for name, weight in small.filters().items()} == {
            name: int(mask.sum()) for name, mask in masks.items()
        }


def test_an_unknown_shortcut_is_refused() -> None:
    with pytest.raises(ValueError, match="shortcut must be end, both or projection, got 'middle'"):
        build(Architecture("resnet8", 10, 3).with_arguments({"shortcut": "middle"}))


@pytest.mark.parametrize("shortcut", ["end", "both"])
def test_resnet_forward_equals_blocks_written_out_by_hand(shortcut: Shortcut) -> None:
    network = lived_in("resnet14", shortcut=shortcut)
    x = batch = images(network, 3)
    functional, module = nn.functional, network.get_submodule
    with torch.no_grad():
        x = functional.relu(module("bn1")(module("conv1")(x)))
        for stage, block in ((s, b) for s in (1, 2, 3) for b in (0, 1)):
            inside = {kind: module(f"layer{stage}.{block}.{kind}") for kind in ("conv1", "bn1", "conv2", "bn2")}
            out = inside["bn2"](inside["conv2"](functional.relu(inside["bn1"](inside["conv1"](x)))))
            if out.shape != x.shape:
                zeros = torch.zeros_like(x[:, :, ::2, ::2]).chunk(2, 1)  # a quarter of the new width each
                before, behind = ((), zeros) if shortcut == "end" else (zeros[:1], zeros[1:])
                x = torch.cat([*before, x[:, :, ::2, ::2], *behind], 1)
            x = functional.relu(out + x)
        expected = module("classifier")(x.mean((2, 3)))
        assert torch.allclose(network(batch), expected, atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in ALL if name.startswith("resnet") or name in ("vgg11", "vgg16", "googlenet")]
)
def test_layers_are_every_convolution_in_order_with_its_own_batch_norm(name: str) -> None:
    network = build(Architecture(name, 10, 3, (32, 32)))
    modules = [(key, module) for key, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    behind = {key: after for (key, _), (after, module) in pairwise(modules) if isinstance(module, nn.BatchNorm2d)}
    found = [layer for layer in network.layers if layer.kind == "conv"]
    assert [layer.name for layer in found] == [key for key, module in modules if isinstance(module, nn.Conv2d)]
    for layer in found:
        batch_norm = network.batch_norm(layer)
        assert batch_norm is not None
        assert layer.batch_norm == behind[layer.name]
        assert len(network.weight(layer.name)) == batch_norm.num_features == layer.width


def test_streams_are_the_classes_that_several_layers_write() -> None:
    def streams(name: str) -> list[set[str]]:
        writers = outline(Architecture(name, 10, 3, (64, 64))).description.writers.values()
        return [set(names) for names in dict.fromkeys(writers) if len(names) > 1]

    def bottlenecks(stage: int, blocks: int) -> set[str]:
        return {f"layer{stage}.0.downsample.0"} | {f"layer{stage}.{block}.conv3" for block in range(blocks)}

    assert streams("resnet8") == [{"conv1", "layer1.0.conv2"}]  # one block writes in later stages, and a shortcut carries
    later = [{f"layer{stage}.0.downsample.0", *(f"layer{stage}.{block}.conv2" for block in (0, 1))} for stage in (2, 3, 4)]
    assert streams("resnet18") == [{"conv1", "layer1.0.conv2", "layer1.1.conv2"}, *later]
    assert streams("resnet50") == [bottlenecks(stage, blocks) for stage, blocks in enumerate((3, 4, 6, 3), 1)]  # no stem
    assert streams("vgg11") == []


@pytest.mark.parametrize(("shortcut", "offsets"), [("end", {0}), ("both", {8, 16}), ("projection", set())])
def test_a_shortcut_without_weights_carries_every_channel_into_the_next_stage(shortcut: Shortcut, offsets: set[int]) -> None:
    description = lived_in("resnet8", shortcut=shortcut).description
    layers = ("conv1", "layer2.0.conv2", "layer3.0.conv2")
    place = {channel: at for name in layers for at, channel in enumerate(description.layers[name].classes.tolist())}
    source, target = description.carries.tolist()
    assert len(source) == (16 + 32 if offsets else 0)
    assert {place[into] - place[out_of] for out_of, into in zip(source, target, strict=True)} == offsets
