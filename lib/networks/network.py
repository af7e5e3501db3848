"""A network of this project: somebody's module, untouched, together with what was found of its channels."""

import copy
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from lib.channels import modes
from lib.channels.description import Description, Prunable, describe
from lib.channels.observing import POINT, Tap, observable
from lib.channels.tracing import outlined
from lib.networks.architecture import Architecture
from lib.networks.builders import module as dense_module
from lib.networks.outlining import outline_of
from lib.randomness import number

SHARED = ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set")  # by a network and its module


class Network(nn.Module):
    """A module and its architecture. Parameters, buffers and parts are the module's own, under the module's own names.

    What it returns are logits (B, num_classes); of a module that returns several values the first one.
    """

    architecture: Architecture
    module: nn.Module

    def __init__(self, module: nn.Module, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        object.__setattr__(self, "module", module)  # not a part: names would begin with `module.`
        self.__dict__.update({name: module.__dict__[name] for name in SHARED})
        self.training = module.training

    def __deepcopy__(self, memo: dict[int, Any]) -> "Network":
        """A copy that shares its module's dictionaries too: copying a graph gives its module others."""
        made = Network.__new__(Network)
        memo[id(self)] = made
        made.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        made.module.__dict__.update({name: made.__dict__[name] for name in SHARED})
        return made

    def train(self, mode: bool = True) -> "Network":
        """Training or eval mode, of the module too."""
        self.training = mode
        self.module.train(mode)  # its own, which may leave parts as they are
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), normalised -> logits (B, num_classes)."""
        output = self.module(images)
        if isinstance(output, Mapping):
            msg = f"{self.architecture.name} returns a {type(output).__name__}; let its forward return the logits, or several "
            raise ValueError(msg + "values of which they are the first")
        return output if isinstance(output, Tensor) else output[0]

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), normalised -> logits (B, num_classes)."""
        logits = super().__call__(images)
        assert isinstance(logits, Tensor)
        return logits

    @cached_property
    def description(self) -> Description:
        """What tracing finds of its channels. Raises ValueError with the reason where it cannot be traced."""
        if self.architecture.kept is None:
            return described(self.architecture)
        return describe(outlined(self.module), self.architecture.shape)

    @property
    def layers(self) -> tuple[Prunable, ...]:
        """The layers that may lose filters, in order of computation."""
        return tuple(self.description.layers.values())

    @cached_property
    def taps(self) -> Mapping[str, Tap | None]:
        """Names of points -> what shows them; None where functions hide one from all modules."""
        if self.architecture.kept is None:
            return observable(self.description)
        there = observable(described(self.architecture.dense))
        return {name: Tap(f"{POINT}{name}", "output") for name in there if f"{POINT}{name}" in self._modules}

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its parameters."""
        return next(self.parameters()).dtype

    def get_submodule(self, target: str) -> nn.Module:
        """A part by its name, also where a property here is called like it."""
        return self.module.get_submodule(target)

    def weight(self, name: str) -> nn.Parameter:
        """The weight of a convolution, (C_out, C_in / groups, kH, kW), or of a linear layer, (C_out, C_in)."""
        weight = self.get_submodule(name).weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def batch_norm(self, layer: Prunable) -> nn.BatchNorm2d | None:
        """The batch norm that alone reads a layer, None where there is none."""
        module = None if layer.batch_norm is None else self.get_submodule(layer.batch_norm)
        assert module is None or isinstance(module, nn.modules.batchnorm._BatchNorm)
        return module  # type: ignore[return-value]

    def filters(self) -> dict[str, Tensor]:
        """The weights of the layers that may lose filters, by name."""
        return {name: self.weight(name) for name in self.description.layers}


@lru_cache(maxsize=64)
def trains_otherwise(architecture: Architecture) -> bool:
    """Whether a dense network does in training what its description, of eval mode, does not tell."""
    return modes.trains_otherwise(outlined(outline_of(architecture)), architecture.shape)


@lru_cache(maxsize=64)
def described(architecture: Architecture) -> Description:
    """What tracing finds of a dense network."""
    return describe(outlined(outline_of(architecture)), architecture.shape)


def seeded(architecture: Architecture, generator: torch.Generator) -> nn.Module:
    """The dense module as its builder initialises it, from a seed that the generator draws."""
    seed = number(int(torch.randint(2**62, (1,), generator=generator)), "builder")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dense_module(architecture)
