"""Networks of torchvision and timm, for any number of classes and of image channels."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

# Auxiliary heads learn nothing here, and torchvision warns of a slow initialisation unless it is declined.
PLAIN = {"googlenet": {"aux_logits": False, "init_weights": True}, "inception_v3": {"aux_logits": False, "init_weights": True}}

# What would load weights by itself, also where a stranger's file asks for it.
LOADING = ("weights", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")


def torchvision_builder(name: str) -> Callable[..., nn.Module]:
    """A classifier of torchvision. Raises ValueError, naming those there are, where none is called so."""
    from torchvision import models

    there = models.list_models(module=models)
    if name not in there:
        msg = f"torchvision has no classifier called {name!r}; it has: {', '.join(there)}"
        raise ValueError(msg)

    def make(num_classes: int, in_channels: int, **arguments: Any) -> nn.Module:
        _refuse_loading(arguments)
        made: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **PLAIN.get(name, {}) | arguments)
        _take_channels(made, in_channels)
        return made

    return make


def timm_builder(name: str) -> Callable[..., nn.Module]:
    """A network of timm. Raises ValueError where timm is not installed, or has none of that name."""
    try:
        import timm
    except ImportError as error:
        msg = f"timm:{name} needs timm, which is not installed; install it: pip install timm"
        raise ValueError(msg) from error
    if not timm.is_model(name):
        like = ", ".join(timm.list_models(f"*{name[:6]}*")[:10]) or "see timm.list_models()"
        msg = f"timm has no network called {name!r}; it has e.g.: {like}"
        raise ValueError(msg)

    def make(num_classes: int, in_channels: int, **arguments: Any) -> nn.Module:
        _refuse_loading(arguments)
        made: nn.Module = timm.create_model(name, num_classes=num_classes, in_chans=in_channels, **arguments)
        return made

    return make


def _refuse_loading(arguments: Mapping[str, Any]) -> None:
    found = [name for name in LOADING if name in arguments]
    if found:
        msg = f"{', '.join(found)} would load weights; name their file under `networks` in params.yaml, as `weights`"
        raise ValueError(msg)


def _take_channels(network: nn.Module, in_channels: int) -> None:
    """Let the first convolution read so many channels."""
    name, first = next((name, part) for name, part in network.named_modules() if isinstance(part, nn.Conv2d))
    if first.in_channels == in_channels:
        return
    other = nn.Conv2d(
        in_channels, first.out_channels, first.kernel_size, first.stride, first.padding, first.dilation,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )  # fmt: skip
    parent, _, last = name.rpartition(".")
    network.get_submodule(parent).register_module(last, other)
