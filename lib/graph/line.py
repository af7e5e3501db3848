"""The line that tells how far a run of many cells is."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from lib.progress import LOG_SECONDS

TERMINAL_SECONDS = 1.0  # between lines in which nothing but the time has changed
SHAPE = "{desc}: {n_fmt} of {total_fmt} done{postfix}, {elapsed} gone, about {remaining} left"


@contextmanager
def cells(total: int) -> Iterator[Callable[[int, str], None]]:
    """A line on the cells of a pipeline, which run several at once: tell(done, text), with text for the others.

    It is drawn when a cell begins or ends, and, where tell is called meanwhile, once a while for the time: a cell can take
    hours. Of no cells nothing is drawn. tqdm's own thread, which would do that, is off, because a process with threads must
    not fork.
    """
    seconds = TERMINAL_SECONDS if sys.stderr.isatty() else LOG_SECONDS
    with tqdm(total=total, desc="cells", bar_format=SHAPE, dynamic_ncols=True, disable=not total) as bar:
        before, drawn = (0, ""), time.monotonic()

        def tell(done: int, text: str) -> None:
            nonlocal before, drawn
            if (done, text) == before and time.monotonic() < drawn + seconds:
                return
            before, drawn, bar.n = (done, text), time.monotonic(), done
            bar.set_postfix_str(text)  # which draws the line

        yield tell


def above(lines: Iterable[str]) -> None:
    """Write lines where the line of a run is drawn, so that they stay above it."""
    for text in lines:
        tqdm.write(text, file=sys.stderr)
