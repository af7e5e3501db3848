"""Networks by name: built by their builders, cut to the channels that stay."""

from collections.abc import Mapping

import torch

from lib.channels.emission import emit
from lib.channels.flow import flow
from lib.networks.architecture import Architecture
from lib.networks.initialising import initialise_
from lib.networks.network import Network, described, seeded
from lib.networks.outlining import outline_of
from lib.params.named import FAMILIES, IMAGENET


def build(architecture: Architecture, generator: torch.Generator | None = None) -> Network:
    """A network, freshly initialised where a generator is given; else, and of a compact one, the values mean nothing.

    Raises ValueError for a builder or arguments that do not exist, and kept channels that do not fit.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    ours = architecture.name in FAMILIES or architecture.name in IMAGENET
    fixed = torch.Generator().manual_seed(0)  # of values that ours replace, so that they draw nothing else
    network = Network(seeded(architecture.dense, fixed if ours else generator), architecture.dense)
    if ours:
        initialise_(network.module, generator)
    return network if architecture.kept is None else cut(network, architecture)


def outline(architecture: Architecture) -> Network:
    """A network with shapes and without memory (device meta). Raises ValueError as `build` does."""
    dense = outline_of(architecture.dense).to("meta")
    network = Network(dense, architecture.dense)
    return network if architecture.kept is None else cut(network, architecture)


def fill_(network: Network, state: Mapping[str, torch.Tensor]) -> None:
    """Give an outline the tensors that are its state, and what no state holds (buffers that a builder computes) as built.

    Raises ValueError as `build` does.
    """
    network.load_state_dict(state, assign=True)
    empty = [name for name, buffer in network.named_buffers() if buffer.is_meta]
    if empty:
        made = dict(seeded(network.architecture.dense, torch.Generator()).named_buffers())
        for name in empty:
            owner, _, last = name.rpartition(".")
            setattr(network.get_submodule(owner), last, made[name])


def cut(network: Network, architecture: Architecture) -> Network:
    """The compact network that keeps what `architecture` says, with the weights of a dense one. Raises ValueError."""
    description, whole = described(architecture.dense), architecture.mode == "scatter"
    small = emit(network.module, description, flow(description.steps, masks(architecture), whole_sums=whole))
    return Network(small, architecture)


def masks(architecture: Architecture) -> dict[str, torch.Tensor]:
    """The filters that a compact network keeps, bool (C_out,) by layer.

    Raises ValueError for a layer that cannot be pruned and filters that it does not have.
    """
    layers, found = described(architecture.dense).layers, {}
    for name, kept in architecture.kept or ():
        if name not in layers or not kept or kept[-1] >= layers[name].width:
            msg = f"{architecture.name} has no prunable layer {name!r} with the filters {kept[:5]}"
            raise ValueError(msg)
        found[name] = torch.zeros(layers[name].width, dtype=torch.bool).index_fill(0, torch.tensor(kept), value=True)
    return found
