"""Which layers are pruned and how far: one section of params.yaml, the same for all methods of a suite."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from lib.masks.filters import Rounding
from lib.networks.description import Part
from lib.params.bounds import Pattern, Share, Size
from lib.params.section import section

Convention = Literal["every", "no_projections", "blocks", "inner"]


LEFT_OUT: Mapping[Convention, tuple[Part, ...]] = {
    "every": (),
    "no_projections": ("projection",),
    "blocks": ("stem", "projection"),
    "inner": ("stem", "projection", "last"),
}


@section
class Layers:
    """Which layers are pruned and how far, the same for all methods of a suite.

    convention: every convolution (AHSG-HT, NGGM); all but projection shortcuts (SFP, FPGM); those inside blocks, neither stem
    nor projections (KDFS); or only those that a single later one reads. leave_out: patterns of names (layer3.*) that keep
    every filter as well. keep_ratios: by pattern, instead of the cell's: a ratio (0.5) or a number of filters (32); the first
    pattern that fits counts. rounding: of width x ratio to filters (`masks.kept_count`). allocation: the same ratio in every
    layer (uniform), or the best filters wherever they are, so that the ratio holds for all layers together: by score
    (global), or by score over the Euclidean norm of its layer's scores (global_normalised).

    With coupled masks a stream loses channels only if all layers that write it may lose filters: no_projections then leaves
    every stream with a projection whole.
    """

    convention: Convention
    leave_out: Annotated[tuple[Pattern, ...], Field(max_length=1000)]
    keep_ratios: Mapping[Pattern, Share | Size]
    rounding: Rounding
    allocation: Literal["uniform", "global", "global_normalised"]

    def __post_init__(self) -> None:
        """A layer cannot have its own ratio and compete with the others; 1 could be meant as a ratio or as one filter."""
        if 1 in [value for value in self.keep_ratios.values() if isinstance(value, int)]:
            msg = "keep_ratios has 1; write 1.0 for all filters of a layer, or a number of filters above 1"
            raise ValueError(msg)
        if self.keep_ratios and self.allocation != "uniform":
            msg = f"keep_ratios of single layers need allocation: uniform, got {self.allocation}"
            raise ValueError(msg)


EVERYWHERE = Layers("every", (), {}, "kept", "uniform")
