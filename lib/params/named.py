"""Networks by name: this project's own, and those that a parameter file names (section `networks`)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from lib.params.bounds import EpochsOrNone, Place, Sha256
from lib.params.section import read, section

FAMILIES: Mapping[str, str] = {  # name -> its family, a module of lib.networks
    **dict.fromkeys(("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"), "resnet"),
    **dict.fromkeys(("resnet8x2", "resnet20x2", "resnet20x4", "resnet32x2"), "resnet"),  # depth, times the width
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19"), "vgg"),
    **dict.fromkeys(("vgg11_plain", "vgg13_plain", "vgg16_plain", "vgg19_plain"), "vgg"),  # without batch norm
    "vgg16_kdfs": "vgg",
    "densenet40": "densenet",
    "googlenet": "googlenet",
    "mobilenet_v2_cifar": "mobilenet",
}
# torchvision's, under the names they go by
IMAGENET = (*(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)), "mobilenet_v2")
BUILDER = r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*)?$"
TORCHVISION, TIMM = "torchvision", "timm"
LONGEST = 80  # characters of a regular expression that a message shows


def known() -> tuple[str, ...]:
    """The names of networks that need no section."""
    return (*FAMILIES, *IMAGENET)


def is_own_code(builder: str) -> bool:
    """Whether a builder's name stands for a function in the user's code."""
    return ":" in builder and builder.partition(":")[0] not in (TORCHVISION, TIMM)


def _applicable(pair: tuple[str, str]) -> tuple[str, str]:
    try:
        re.sub(*pair, "")
    except (re.error, IndexError, OverflowError, RecursionError) as error:
        msg = f"no regular expression with its replacement: {str(error)[:LONGEST]}"
        raise ValueError(msg) from error
    return pair


Rename = tuple[Annotated[tuple[str, str], AfterValidator(_applicable)], ...]


@section
class Expected:
    """top1: percent of the images of `split` that the network is known to get right. split: of the data set."""

    top1: Annotated[float, Field(ge=0.0, le=100.0)]
    split: Literal["train", "validation", "test"]


@section
class Weights:
    """Where a network starts. source: path or URL of a file of torch.save, safetensors, or a checkpoint of this project.

    sha256: of that file. state: the key of the weights in it (null: it is the weights). rename: pairs of a regular expression
    and its replacement, applied in order to every name. zero_filters: filters that are all zero there stay zero (keep), or are
    trained like the others (grow). epochs: null to train on as `teacher` says; a number if it is trained: it is taken as it
    is, and counts as so many epochs. expected: an accuracy that it must have (within 0.05 points), or the run stops; or null.
    """

    source: Place
    sha256: Sha256
    state: str | None
    rename: Rename
    zero_filters: Literal["keep", "grow"]
    epochs: EpochsOrNone | None
    expected: Expected | None


@section
class Named:
    """A network under a name of yours. builder: `torchvision:mobilenet_v2`, `timm:efficientnet_b0`, one of the project's own
    (`resnet20`), or a function of yours (`my_module:make`), called with num_classes, in_channels and the arguments.

    arguments: plain values that the builder is told, by name. weights: that it starts from; null for fresh ones.
    """

    builder: Annotated[str, Field(pattern=BUILDER, max_length=200)]
    arguments: Mapping[str, Any]
    weights: Weights | None


def named(document: Mapping[str, Any], name: str) -> Named:
    """What a name stands for. Raises ParamsError for a section that is wrong."""
    if name in known():
        return Named(name, {}, None)
    return read(document, f"networks.{name}", Named)


def own_builders(document: Mapping[str, Any]) -> list[str]:
    """The builders in the user's code that a parameter file names; what is no section is passed over."""
    sections = document.get("networks")
    found = (
        [one.get("builder") for one in sections.values() if isinstance(one, Mapping)] if isinstance(sections, Mapping) else []
    )
    return [builder for builder in found if isinstance(builder, str) and is_own_code(builder)]
