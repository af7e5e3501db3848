"""All that decides what a network computes, its weights apart."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Mode = Literal["scatter", "coupled"]
Size = tuple[int, int]  # height and width, in pixels


@dataclass(frozen=True)
class Architecture:
    """A builder's name (`lib.networks.builders`) with what it is told, and what is left of its channels.

    arguments: of the builder, beside classes and channels, as JSON (`with_arguments` writes it). size: of images that the
    network takes; its channels are found on one of them. kept: by layer the filters of a compact network, as indices into the
    dense one; None for a dense network. A layer that is not named is whole. mode: whether residual streams lose channels too.
    """

    name: str
    num_classes: int
    in_channels: int
    size: Size = (32, 32)
    arguments: str = "{}"
    kept: tuple[tuple[str, tuple[int, ...]], ...] | None = None
    mode: Mode = "coupled"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image, (C, H, W)."""
        return (self.in_channels, *self.size)

    @property
    def dense(self) -> "Architecture":
        """The network that this one was made from; itself where nothing was taken away."""
        return self if self.kept is None else replace(self, kept=None, mode="coupled")

    @property
    def told(self) -> dict[str, Any]:
        """The builder's arguments."""
        arguments: dict[str, Any] = json.loads(self.arguments)
        return arguments

    def with_arguments(self, arguments: Mapping[str, Any]) -> "Architecture":
        """The same with other arguments, plain values."""
        return replace(self, arguments=json.dumps(dict(arguments), sort_keys=True))

    def with_kept(self, kept: Mapping[str, tuple[int, ...]], mode: Mode) -> "Architecture":
        """The compact network of given filters."""
        return replace(self, kept=tuple(sorted(kept.items())), mode=mode)
