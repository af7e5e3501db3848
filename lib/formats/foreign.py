"""Networks trained elsewhere: a file of tensors and a description of its names -> a checkpoint of this project.

What the checkpoint computes is what the file's network computes, or it is refused: names and shapes alone do not fix a
forward pass, so a description may also state the accuracy that the import must meet (`lib.steps.import_network`).
"""

import copy
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from lib.compaction.constants import silence_
from lib.compaction.proof import FLOAT32_LIMIT, FLOAT64_LIMIT, gap_in_double
from lib.formats.checkpoint import Checkpoint
from lib.formats.foreign_weights import check_values, kind, some, weights
from lib.images.checksum import sha256_of
from lib.masks.filters import from_zeros
from lib.masks.kept import Kept, check
from lib.networks import build, outline
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.named import BUILDER, Expected, Rename
from lib.params.section import parse, section
from lib.params.section import read as read_section

Width = Annotated[int, Field(ge=1, le=2**16)]  # channels, classes or pixels: far above what any network here has
Finite = Annotated[float, Field(allow_inf_nan=False)]


@section
class Description:
    """What the file holds. network: the builder; arguments: what it is told. state: the key of the weights (null: the file is
    the weights). rename: pairs of a regular expression and its replacement, all applied in order to every name.

    May be left out: arguments; sha256 of the file; expected, the accuracy to meet.
    """

    network: Annotated[str, Field(pattern=BUILDER, max_length=200)]
    num_classes: Width
    shape: tuple[Width, Width, Width]
    mean: tuple[Finite, ...]
    std: tuple[Annotated[Finite, Field(gt=0.0)], ...]
    state: str | None
    rename: Rename
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    expected: Expected | None = None

    def __post_init__(self) -> None:
        """Each channel has its mean and its deviation."""
        if not len(self.mean) == len(self.std) == self.shape[0]:
            msg = f"mean and std need a number for each of {self.shape[0]} channels, got {len(self.mean)} and {len(self.std)}"
            raise ValueError(msg)


def describe(path: Path) -> Description:
    """The description in a YAML file. Raises ValueError naming the file and its keys."""
    try:
        return read_section({"description": parse(path.read_text(encoding="utf-8"))}, "description", Description)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def read(path: Path, description: Description) -> Checkpoint:
    """The network with the masks that its exactly zero filters tell.

    Raises ValueError, one line, when the file cannot be read as plain tensors, is another one than the description's sha256
    says, has names, shapes or values that do not fit, or when its zero filters cannot go without changing the function.
    """
    if description.sha256 is not None and path.is_file() and (got := sha256_of(path)) != description.sha256:
        msg = f"{path} has sha256 {got}, the description says {description.sha256}: it is another file, get it anew"
        raise ValueError(msg)
    state = weights(path, description.state, description.rename)
    channels, *size = description.shape
    dense = Architecture(description.network, description.num_classes, channels, (size[0], size[1]))
    architecture = dense.with_arguments(description.arguments)
    _check_fit(path, state, outline(architecture))  # shapes alone: it is built only once the file holds as much
    network = build(architecture)
    network.load_state_dict(state)
    check_values(path, network)
    kept = Kept(from_zeros(network))
    check(network, kept)
    _silence_(path, network.eval(), kept, description.shape)
    return Checkpoint(network, kept, description.shape, description.mean, description.std, {"foreign": path.name})


def _check_fit(path: Path, state: Mapping[str, Tensor], wanted: Network) -> None:
    """Raise ValueError unless names, shapes and kinds of numbers are those wanted; counters of batches may be absent."""
    expected = wanted.state_dict()
    named = wanted.architecture.name
    missing = [name for name in expected if name not in state and not name.endswith("num_batches_tracked")]
    if any(name.endswith("running_mean") for name in missing) and not any(name.endswith("running_mean") for name in state):
        msg = f"{path} has no batch norm (no running_mean), but {named} here has some; a vgg16 of others is vgg16_plain "
        msg += "here, and their vgg16_bn is vgg16"
        raise ValueError(msg)
    unknown = [name for name in state if name not in expected]
    other = [
        f"{name} ({tuple(state[name].shape)} instead of {tuple(tensor.shape)})"
        for name, tensor in expected.items()
        if name in state and kind(state[name]) != kind(tensor)
    ]
    wrong = {"missing": missing, "unknown": unknown, "of another shape or type": other}
    told = [f"{what}: {some(names)}" for what, names in wrong.items() if names]
    if told:
        msg = f"the weights of {path} do not fit {named}; {'; '.join(told)}; correct `rename`, `arguments` or `network`"
        raise ValueError(msg)


def _silence_(path: Path, network: Network, kept: Kept, shape: tuple[int, int, int]) -> None:
    """Zero what belongs to dropped filters, and compare with the network as it was, on noise."""
    given = copy.deepcopy(network)
    try:
        moved = silence_(network, kept)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error
    noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    apart = gap_in_double(given, network, noise).relative
    if not apart < (FLOAT32_LIMIT if moved else FLOAT64_LIMIT):  # what was moved is rounded to float32
        msg = f"{path}: without its zero filters the network computes something else (logits differ by {apart:.1e})"
        raise ValueError(msg)
