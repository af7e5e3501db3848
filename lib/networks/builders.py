"""From a builder's name to a module: ours, torchvision's, timm's, or a function in the user's own code.

    resnet20                    a network of this folder, a family a file
    torchvision:mobilenet_v2    any classifier of torchvision
    timm:efficientnet_b0        any of timm (the extra `timm`)
    my_package.my_module:make   the user's own: make(num_classes=..., in_channels=..., **arguments) -> nn.Module

A name that comes from a file is data of others. So a user's own builder runs only after `allow` was told its name by the user:
by a parameter file, or on a command line.
"""

import importlib
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lib.foreign_code import FAILURES
from lib.params.named import BUILDER, FAMILIES, IMAGENET, TIMM, TORCHVISION, known

if TYPE_CHECKING:  # who asks for a family's name alone needs no torch
    from torch import nn

    from lib.networks.architecture import Architecture

LONGEST = 200  # characters of arguments, and of what is wrong with them

_allowed: set[str] = set()


def allow(names: Iterable[str]) -> None:
    """Let builders of the user's own code run: the user named them."""
    _allowed.update(names)


def module(architecture: "Architecture") -> "nn.Module":
    """The dense module of an architecture, initialised as its builder does.

    Raises ValueError for a name that stands for nothing, a library that is not installed, and whatever stops the builder.
    """
    builder, arguments = find(architecture.name), architecture.told
    try:
        made = builder(num_classes=architecture.num_classes, in_channels=architecture.in_channels, **arguments)
    except FAILURES as error:
        told, reason = architecture.arguments[:LONGEST], " ".join(str(error).split())[:LONGEST]
        msg = f"{architecture.name} cannot be built with {told} ({type(error).__name__}: {reason}); correct its arguments"
        raise ValueError(msg) from error
    if not any(True for _ in made.parameters()):
        msg = f"{architecture.name} with {architecture.arguments[:LONGEST]} has no parameters; correct its arguments"
        raise ValueError(msg)
    if problem := _computed(made):
        msg = f"{architecture.name}: {problem} (as by weight_norm or spectral_norm); let it be a parameter of its own: "
        msg += "torch.nn.utils.parametrize.remove_parametrizations, or nn.utils.remove_weight_norm"
        raise ValueError(msg)
    if tied := _tied(made):
        msg = f"{architecture.name}: {tied} are one tensor; give each layer a weight of its own, or call one layer twice"
        raise ValueError(msg)
    return made


def _tied(module: "nn.Module") -> str:
    """Which layers of a module have one weight between them; empty where none have."""
    from torch import nn

    owners: dict[int, str] = {}
    for name, part in module.named_modules():  # each once, also under several names
        if isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
            owner = owners.setdefault(id(part.weight), name)
            if owner != name:
                return f"{owner}.weight and {name}.weight"
    return ""


def _computed(module: "nn.Module") -> str:
    """Which weight of a module is computed from others before each pass; empty where none is."""
    from torch import Tensor
    from torch.nn.utils.parametrize import is_parametrized

    for name, part in module.named_modules():
        if is_parametrized(part):
            return f"{name}.{next(iter(part.parametrizations))} is computed from other tensors"
        derived = [key for key, value in vars(part).items() if isinstance(value, Tensor) and value.grad_fn is not None]
        if derived:
            return f"{name}.{derived[0]} is computed from other tensors"
    return ""


def find(name: str) -> "Callable[..., nn.Module]":
    """The function of a builder's name, called with num_classes, in_channels and arguments. Raises ValueError as `module`."""
    if not re.fullmatch(BUILDER, name):
        msg = f"{name[:80]!r} is no builder's name; write e.g. resnet20, torchvision:mobilenet_v2 or my_module:make"
        raise ValueError(msg)
    source, _, inside = name.rpartition(":")
    if name in FAMILIES:
        builder: Callable[..., nn.Module] = importlib.import_module(f"lib.networks.{FAMILIES[name]}").BUILDERS[name]
        return builder
    if not source and name in IMAGENET:
        source, inside = TORCHVISION, name
    if source == TORCHVISION:
        return _torchvision(inside)
    if source == TIMM:
        return _timm(inside)
    if not source:
        msg = (
            f"no network is called {name!r}; there are: {', '.join(known())}; torchvision:NAME, timm:NAME and module:function"
        )
        raise ValueError(msg)
    return _own(name, source, inside)


def _torchvision(name: str) -> "Callable[..., nn.Module]":
    from lib.networks import libraries

    return libraries.torchvision_builder(name)


def _timm(name: str) -> "Callable[..., nn.Module]":
    from lib.networks import libraries

    return libraries.timm_builder(name)


class RefusedError(ValueError):
    """A builder that nobody allowed."""


def _own(name: str, source: str, function: str) -> "Callable[..., nn.Module]":
    if name not in _allowed:
        msg = f"a file asks for the builder {name}, which is code of somebody; nothing of it was run. "
        msg += "If it is yours, name it under `networks` in params.yaml"
        raise RefusedError(msg)
    try:
        found: Any = importlib.import_module(source)
        for part in function.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        msg = f"builder {name} is not there ({error}); write module:function, of a module beside params.yaml or installed"
        raise ValueError(msg) from error
    if not callable(found):
        msg = f"builder {name} is a {type(found).__name__}, no function; give one that makes the network"
        raise ValueError(msg)
    return found  # type: ignore[no-any-return]
