"""The progress bars of long work, with rate and remaining time."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from tqdm import tqdm

LOG_SECONDS = 20.0  # between lines where the output is a file and not a terminal


class Bar(Protocol):
    """A progress bar (tqdm's interface)."""

    def update(self, n: float = 1) -> object:
        """Advance by n."""

    def set_postfix_str(self, s: str) -> object:
        """Show a text behind the bar."""


def _style(label: str, unit: str) -> dict[str, Any]:
    interval = 0.1 if sys.stderr.isatty() else LOG_SECONDS
    return {"desc": label, "unit": unit, "mininterval": interval, "maxinterval": interval, "dynamic_ncols": True}


def steps(label: str) -> Callable[[int, int], Bar]:
    """Makes a bar over training steps: steps(label)(total, done)."""

    def make(total: int, done: int) -> Bar:
        others = int(os.environ.get("RANK", "0")) > 0  # of several processes the first shows it
        bar: Bar = tqdm(total=total, initial=done, disable=others, **_style(label, "step"))
        return bar

    return make


def images(names: Iterable[str], label: str) -> Iterable[str]:
    """The same names, with a bar over them."""
    return _over(names, label, "image")


def layers(names: Iterable[str], label: str) -> Iterable[str]:
    """The same names, with a bar over them."""
    return _over(names, label, "layer")


def networks(names: Iterable[str], label: str) -> Iterable[str]:
    """The same names, with a bar over them."""
    return _over(names, label, "network")


def _over(names: Iterable[str], label: str, unit: str) -> Iterable[str]:
    shown: Iterable[str] = tqdm(names, **_style(label, unit))
    return shown
