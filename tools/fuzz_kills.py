"""Kill prunings and distillations: at random moments, before every change of a file, and while a file is being written.

Each killed one is run again, and must end in the same bits as one that was left alone, with no file left over.
"""

import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, run

SAID = "{}: {} killed by the clock, {} at changes of files, {} in writing; all ended in the same bits\n"


def main(
    kills: Annotated[int, "how many at random moments"],
    stride: Annotated[int, "kill at every so many-th change of a file; 1: at all"] = 1,
    seed: Annotated[int, "of the moments"] = 0,
    params: Params = PARAMS,
) -> None:
    """Trainings in a temporary folder."""
    from lib.steps import distill, download, prune, train_teacher  # noqa: F401 (once, and not in every process)
    from tests.fuzzing import children, doom, trainings
    from tests.fuzzing.victims import Victims

    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        children.killed(partial(trainings.prepare, params, Path(name)), Path(name) / "said")
        for number, kind in enumerate(("prune", "distill")):
            victims = Victims(kind, Path(name))
            moments = [draw.uniform(0.0, victims.seconds) for _ in range(number, kills, 2)]
            changes = range(draw.randrange(stride), victims.changes, stride)
            clock = sum(victims.kill(partial(doom.by_clock, moment)) for moment in moments)
            at = sum(victims.kill(partial(doom.at_change, change)) for change in changes)
            half = sum(victims.kill(partial(doom.in_writing, change, draw.randrange(500_000))) for change in changes)
            sys.stderr.write(SAID.format(kind, clock, at, half))


if __name__ == "__main__":
    run(main)
