"""Which layers are pruned and how far: one section of params.yaml, the same for all methods of a suite."""

import fnmatch
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from lib.channels.description import Prunable
from lib.channels.parts import Part
from lib.masks.filters import Rounding
from lib.networks.network import Network
from lib.params.bounds import Few, Pattern, Place, Sha256, Share, Size
from lib.params.section import section

Convention = Literal["every", "no_projections", "blocks", "inner"]
Budgeted = Literal["latency", "macs", "parameters"]
BUDGETS: tuple[Budgeted, ...] = ("latency", "macs", "parameters")


LEFT_OUT: Mapping[Convention, tuple[Part, ...]] = {
    "every": (),
    "no_projections": ("projection",),
    "blocks": ("stem", "projection"),
    "inner": ("stem", "projection", "last"),
}


@section
class Table:
    """Measured times of a network's layers. file: path of what `tools.latency_table` wrote. sha256: of the file, so that a
    changed one is noticed.
    """

    file: Place
    sha256: Sha256


@section
class Layers:
    """Which layers are pruned and how far, the same for all methods of a suite.

    convention: every layer (AHSG-HT, NGGM); all but projection shortcuts (SFP, FPGM); those inside blocks, neither stem
    nor projections (KDFS); or only those that a single later one reads. leave_out: patterns of names (layer3.*) that keep
    every filter as well. keep_ratios: by pattern, instead of the cell's: a ratio (0.5) or a number of filters (32); the first
    pattern that fits counts. rounding: of width x ratio to filters (kept: the floor of it; pruned: the floor of what goes;
    nearest: halves to even; at least 1). multiple: numbers of filters are then rounded to the nearest multiple of it, 8 or 16
    for what hardware likes; a layer may also stay whole. allocation: the same ratio in every layer (uniform), or the best
    filters wherever they are, so that the ratio holds for all layers together: by score (global), or by score over the
    Euclidean norm of its layer's scores (global_normalised); or the best of these for what they cost (`lib.pruning.budgets`),
    where the ratio is the share of the dense network's time (latency), MACs or parameters that is left. table: the times of
    its layers, for latency; null for all others.

    linear: hidden linear layers lose filters too, not convolutions alone.

    With coupled masks a stream loses channels only if all layers that write it may lose filters: no_projections then
    leaves every stream with a projection whole.
    """

    convention: Convention
    leave_out: Annotated[tuple[Pattern, ...], Field(max_length=1000)]
    keep_ratios: Mapping[Pattern, Share | Size]
    rounding: Rounding
    multiple: Few
    allocation: Literal["uniform", "global", "global_normalised"] | Budgeted
    table: Table | None
    linear: bool

    def __post_init__(self) -> None:
        """A layer cannot have its own ratio and compete with the others; 1 could be meant as a ratio or as one filter."""
        if 1 in [value for value in self.keep_ratios.values() if isinstance(value, int)]:
            msg = "keep_ratios has 1; write 1.0 for all filters of a layer, or a number of filters above 1"
            raise ValueError(msg)
        if self.keep_ratios and self.allocation != "uniform":
            msg = f"keep_ratios of single layers need allocation: uniform, got {self.allocation}"
            raise ValueError(msg)
        if (self.table is None) == (self.allocation == "latency"):
            msg = f"table is for allocation: latency, which needs one (python -m tools.latency_table); got {self.allocation} "
            msg += f"and {'no table' if self.table is None else self.table.file}"
            raise ValueError(msg)

    @property
    def budget(self) -> Budgeted | None:
        """What the keep ratio is a share of, where it is none of filters."""
        return next((one for one in BUDGETS if one == self.allocation), None)


EVERYWHERE = Layers("every", (), {}, "kept", 1, "uniform", None, linear=False)


def left_out(layer: Prunable, layers: Layers) -> bool:
    """Whether a layer keeps every filter."""
    unasked = layer.kind == "linear" and not layers.linear
    named = any(fnmatch.fnmatchcase(layer.name, name) for name in layers.leave_out)
    return unasked or named or layer.part in LEFT_OUT[layers.convention]


def asked(layer: Prunable, layers: Layers) -> tuple[str, float | int | None]:
    """The first pattern that fits a layer, and what it wants: a ratio or a number of filters; None where none fits."""
    fitting = ((pattern, value) for pattern, value in layers.keep_ratios.items() if fnmatch.fnmatchcase(layer.name, pattern))
    return next(fitting, ("", None))


def ratio_of(layer: Prunable, layers: Layers, keep_ratio: float) -> float | None:
    """The share of a layer that stays, by itself; None: it stays whole. Raises ValueError for more filters than it has."""
    if left_out(layer, layers):
        return None
    pattern, value = asked(layer, layers)
    if value is None:
        return keep_ratio
    ratio = value / layer.width if isinstance(value, int) else value
    if ratio > 1.0:
        msg = f"keep_ratios: {pattern} asks for {value} filters, but {layer.name} has {layer.width}"
        raise ValueError(msg)
    return ratio


def check_patterns(network: Network, layers: Layers) -> None:
    """Raises ValueError for a pattern that fits no layer."""
    names = [layer.name for layer in network.layers]
    idle = [pattern for pattern in (*layers.leave_out, *layers.keep_ratios) if not fnmatch.filter(names, pattern)]
    if idle:
        msg = f"prune.layers: {idle} fits no layer of {network.architecture.name}; its layers: {', '.join(names)}"
        raise ValueError(msg)
