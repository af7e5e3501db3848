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


def main(
    kills: Annotated[int, "how many at random moments"],
    stride: Annotated[int, "kill at every so many-th change of a file; 1: at all"] = 1,
    seed: Annotated[int, "of the moments"] = 0,
    params: Params = PARAMS,
) -> None:
    """Trainings in a temporary folder."""
    from lib.steps import distill, download, prune, train_teacher  # noqa: F401 (once, and not in every process)
    from tests.fuzzing import children, trainings
    from tests.fuzzing.victims import Victims, killed_one_by_one

    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        children.killed(partial(trainings.prepare, params, Path(name)), Path(name) / "said")
        for number, kind in enumerate(("prune", "distill")):
            sys.stderr.write(killed_one_by_one(Victims(kind, Path(name)), draw, range(number, kills, 2), stride))


if __name__ == "__main__":
    run(main)
