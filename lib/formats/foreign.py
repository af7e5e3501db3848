"""Networks trained elsewhere: a PyTorch file and a description of its names -> a checkpoint of this project.

The file is read with weights_only=True, so no code in it is ever executed.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from lib.formats.checkpoint import Checkpoint
from lib.masks.filters import from_zeros
from lib.masks.kept import Kept, check
from lib.networks import build
from lib.networks.description import Architecture
from lib.params.section import section


@section
class Description:
    """What the file holds. state: the key of the weights (null: the file is the weights). rename: pairs of a regular
    expression and its replacement, all applied in order to every name. hidden: widths of linear layers before the last.
    """

    network: str
    num_classes: PositiveInt
    hidden: tuple[PositiveInt, ...]
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0.0)], ...]
    state: str | None
    rename: tuple[tuple[str, str], ...]


def read(path: Path, description: Description) -> Checkpoint:
    """The network with the masks that its exactly zero filters tell.

    Raises ValueError when the file cannot be read as plain tensors or its names or shapes do not fit.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        msg = f"{path} cannot be read as plain tensors ({str(error).splitlines()[0]}); it is damaged or holds code"
        raise ValueError(msg) from error
    keys = list(content) if isinstance(content, Mapping) else []
    state = content[description.state] if description.state in keys else content
    if not isinstance(state, Mapping) or (description.state is not None and state is content):
        msg = f"{path} has no weights under {description.state!r}; it has {keys[:10]}: correct `state`"
        raise ValueError(msg)
    network = build(Architecture(description.network, description.num_classes, description.shape[0], description.hidden))
    try:
        network.load_state_dict(_renamed(state, description))
    except RuntimeError as error:
        msg = f"the weights of {path} do not fit {description.network}: {error}\ncorrect `rename`, `hidden` or `network`"
        raise ValueError(msg) from error
    kept = Kept(from_zeros(network))
    check(network, kept)
    return Checkpoint(network.eval(), kept, description.shape, description.mean, description.std, {"foreign": path.name})


def _renamed(state: Mapping[str, Tensor], description: Description) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in description.rename:
            new = re.sub(pattern, replacement, new)
        renamed[new] = tensor
    return renamed
