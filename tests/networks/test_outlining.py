"""Outlines: the shapes of a network without its memory, and no more of it than a file may ask for."""

import pytest
import torch
from torch import nn

from lib.networks import build, outline
from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.network import described
from lib.networks.outlining import for_a_file, outline_of
from tests.fuzzing.memory import bounded


class Measured(nn.Module):
    """Its width is the sum of its weights, so it cannot be built without them."""

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, width, 1)
        nn.init.ones_(self.first.weight)
        self.last = nn.Linear(width, int(self.first.weight.sum()) // (width * in_channels) * num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, num_classes)."""
        logits: torch.Tensor = self.last(self.first(images).mean((2, 3)))
        return logits


def broken(num_classes: int, in_channels: int) -> nn.Module:
    """Raises what no builder of this project does."""
    raise ZeroDivisionError((num_classes, in_channels))


def empty(num_classes: int, in_channels: int) -> nn.Module:
    """A network without parameters."""
    return nn.Flatten()


NAMES = {name: f"{__name__}:{name}" for name in ("Measured", "broken", "empty")}
allow(NAMES.values())


def test_a_builder_that_computes_widths_from_numbers_is_outlined_as_it_is_built() -> None:
    """RegNet does; on device meta its numbers would have no values."""
    architecture = Architecture("torchvision:regnet_y_400mf", 10, 3, (64, 64))
    drawn, built = outline(architecture).state_dict(), build(architecture).state_dict()
    assert all(tensor.is_meta for tensor in drawn.values())
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in drawn.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in built.items()
    }


@pytest.mark.parametrize("name", ["torchvision:regnet_y_128gf", "torchvision:vit_h_14"])
def test_a_network_of_gigabytes_is_outlined_and_described_in_a_few_megabytes(name: str) -> None:
    outline_of(Architecture("torchvision:regnet_y_400mf", 10, 3))  # imports
    with bounded(0):
        architecture = Architecture(name, 10, 3, (224, 224))
        assert sum(parameter.numel() for parameter in outline_of(architecture).parameters()) > 6e8
        described(architecture)


def test_the_users_own_builder_may_look_at_its_weights() -> None:
    drawn = outline(Architecture(NAMES["Measured"], 10, 3).with_arguments({"width": 4})).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in drawn.items()} == {
        "first.weight": (4, 3, 1, 1),
        "first.bias": (4,),
        "last.weight": (10, 4),
        "last.bias": (10,),
    }


def test_outlining_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    outline(Architecture(NAMES["Measured"], 10, 3).with_arguments({"width": 4}))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", r"broken cannot be built with \{\} \(ZeroDivisionError: \(10, 3\)\); correct its arguments$"),
        ("empty", r"empty with \{\} has no parameters; correct its arguments$"),
    ],
)
def test_whatever_stops_a_builder_is_one_message(name: str, said: str) -> None:
    for make in (outline, build):
        with pytest.raises(ValueError, match=said):
            make(Architecture(NAMES[name], 10, 3))


def test_a_large_file_may_ask_for_more_and_whoever_builds_for_all() -> None:
    deep = Architecture("resnet8", 10, 3).with_arguments({"hidden": [8] * 1400})
    wide = Architecture("resnet8", 10, 3).with_arguments({"hidden": [60_000] * 14})
    for architecture in (deep, wide):
        with for_a_file(1000), pytest.raises(ValueError, match=r"parts or .* channels, which its file cannot hold"):
            outline_of(architecture)
        with for_a_file(10_000_000):
            outline_of(architecture)
        outline_of(architecture)
