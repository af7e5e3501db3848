"""Whether a network stays the same function when it is made small: the proof of one network, on random numbers.

Nothing is at the value it begins with: weights, biases, affine values and statistics are random. The masks are uneven, and one
layer keeps a single filter. Once masked, every layer's weights are scaled so that it gives numbers of order 1: so a wrong
channel anywhere shows in the logits, which differ between images too. All of it is computed in float64.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import nn

from lib.channels.description import Description, describe
from lib.channels.tracing import outlined
from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, Gap, gap
from lib.cost.macs import count
from lib.masks.kept import Kept, apply_, as_indices, leftovers
from lib.networks import cut
from lib.networks.architecture import Mode
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.steps.specimen import images_for, level_, uneven

SIZE = 64
LARGER: Mapping[str, int] = {"inception": 96, "nasnet": 96, "pnasnet": 96}  # by what the name has in it: smaller images vanish
SEEN = 1e-3  # what the logits of two images differ by at least, for the check to see anything
TRIES = 5  # of masks: a single filter may be silent on all images
OUTPUT = "the network's output"


@dataclass(frozen=True)
class Wanted:
    """size: of the images, pixels; None for the smallest that fits. modes: of compaction."""

    keep_ratio: float
    modes: tuple[Mode, ...]
    size: int | None = None

    def side(self, name: str) -> int:
        """Of the images of one network."""
        larger = [side for part, side in LARGER.items() if part in name]
        return max([SIZE, *larger]) if self.size is None else self.size


@dataclass(frozen=True)
class Record:
    """What is known of one network, as the JSON has it. exact: by mode, None where it was not tried or nothing is made.

    macs_ratio, params_ratio: what a uniform keep ratio leaves. seconds: to trace it and to make it small once. reason: why it
    was refused or is not equal, or why layers stay whole.
    """

    network: str
    traced: bool
    exact_coupled: bool | None = None
    exact_scatter: bool | None = None
    max_relative_difference: float | None = None
    prunable_share: float | None = None
    macs_ratio: float | None = None
    params_ratio: float | None = None
    seconds: float | None = None
    reason: str | None = None

    @property
    def made(self) -> bool:
        """Whether a small network came out, right or wrong."""
        return self.exact_coupled is not None or self.exact_scatter is not None

    @property
    def wrong(self) -> bool:
        """Whether something was made that is not equal."""
        return False in (self.exact_coupled, self.exact_scatter)


@dataclass(frozen=True)
class Outcome:
    """Of one mode. fault: what is wrong beside the logits."""

    gap: Gap
    seconds: float
    fault: str | None

    @property
    def exact(self) -> bool:
        """Equal logits and nothing left of what is dropped."""
        return self.gap.relative < FLOAT64_LIMIT and self.fault is None


def examine(network: Network, wanted: Wanted) -> Record:
    """Both proofs of a network that `alive` made. Raises ValueError with the reason where it cannot be traced or cut."""
    name, shape = network.architecture.name, network.architecture.shape
    start = time.perf_counter()
    description = describe(outlined(network.module), shape)
    seconds = time.perf_counter() - start
    share, whole = description.prunable_share, told_whole(description)
    found = Record(name, True, prunable_share=share, reason=whole)
    if not description.layers:
        return replace(found, seconds=seconds, reason=f"nothing can be pruned: {whole or 'there is no hidden layer'}")
    try:
        outcomes = {mode: _proved(network, mode, wanted.keep_ratio) for mode in wanted.modes}
        macs, params = _left(network, wanted)
    except ValueError as error:
        return replace(found, reason=str(error))
    faults = [f"{mode}: {outcome.fault}" for mode, outcome in outcomes.items() if outcome.fault is not None]
    return replace(
        found,
        exact_coupled=outcomes["coupled"].exact if "coupled" in outcomes else None,
        exact_scatter=outcomes["scatter"].exact if "scatter" in outcomes else None,
        max_relative_difference=max(outcome.gap.relative for outcome in outcomes.values()),
        macs_ratio=macs,
        params_ratio=params,
        seconds=seconds + outcomes[wanted.modes[0]].seconds,
        reason="; ".join(faults) or whole,
    )


def told_whole(description: Description) -> str | None:
    """Why layers stay whole, the commonest reasons with their numbers; None where only the output does."""
    reasons = Counter(reason.partition(" (")[0] for reason in description.locked.values() if reason != OUTPUT)
    if not reasons:
        return None
    return "stay whole: " + ", ".join(f"{number} ({reason})" for reason, number in reasons.most_common(3))


def told(error: BaseException) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


@torch.no_grad()
def _proved(network: Network, mode: Mode, keep_ratio: float) -> Outcome:
    """A masked and a compact network that answer alike; the network itself stays as it is."""
    images, generator = images_for(network), stream(0, "masks", mode)
    for _ in range(TRIES):
        kept = uneven(network, mode, keep_ratio, generator)
        masked = Network(deepcopy(network.module), network.architecture)
        apply_(masked, kept)
        logits = level_(masked, images)
        if float((logits[0] - logits[1]).abs().max()) > SEEN:
            break
    else:
        fault = f"all of {TRIES} masks leave logits that do not depend on the image, so that nothing is proved"
        return Outcome(Gap(float("inf"), float("inf")), 0.0, fault)
    start = time.perf_counter()
    small = compact(masked, kept, mode)
    seconds = time.perf_counter() - start
    return Outcome(gap(logits, small(images)), seconds, fault_in(masked, kept))


@torch.no_grad()
def fault_in(masked: Network, kept: Kept) -> str | None:
    """What is left where masks drop filters, or what would not be noticed: a shift put into one dropped channel of a layer."""
    if names := leftovers(masked, kept):
        return f"not zero where masks drop filters: {_named(names)}"
    shifts = {}
    for layer in masked.layers:
        dropped = (~kept.filters[layer.name]).nonzero().flatten()
        path = next((path for path in (f"{layer.batch_norm}.bias", f"{layer.name}.bias") if _has(masked, path)), None)
        if len(dropped) and path is not None:
            shifts[path] = int(dropped[-1])
    parameters = dict(masked.named_parameters())
    for path, channel in shifts.items():
        parameters[path][channel] = 1.0
    missed = sorted(set(shifts) - set(leftovers(masked, kept)))  # each by itself, as the masks say where to look
    for path, channel in shifts.items():
        parameters[path][channel] = 0.0
    return f"a shift left in a dropped channel is not noticed: {_named(missed)}" if missed else None


def _has(network: nn.Module, path: str) -> bool:
    return path in dict(network.named_parameters())


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _left(network: Network, wanted: Wanted) -> tuple[float, float]:
    """The shares of MACs and parameters that an even keep ratio leaves of all layers, in the first mode; shapes only."""
    mode, shape = wanted.modes[0], network.architecture.shape
    chosen = Selection(network, wanted.keep_ratio, coupled=mode == "coupled", layers=replace(EVERYWHERE, linear=True))
    generator = stream(0, "scores")
    masks = chosen.choose({layer.name: torch.rand(layer.width, generator=generator) for layer in network.layers})
    dense = Network(outlined(network.module), network.architecture)
    kept = {name: tuple(indices) for name, indices in as_indices(masks).items()}
    small = cut(dense, network.architecture.with_kept(kept, mode))
    costs = [count(one, shape) for one in (small, dense)]
    return costs[0].total_macs / costs[1].total_macs, costs[0].params / costs[1].params


def modes_of(word: str) -> tuple[Mode, ...]:
    """coupled, scatter, or both."""
    every: Iterable[Mode] = ("coupled", "scatter")
    return tuple(mode for mode in every if word in (mode, "both"))
