"""Prune a trained network with one method at one keep ratio.

Reads the network's checkpoint, the guide's (a checkpoint or a folder of them, used when the method asks for guidance) and the
data folder; writes a checkpoint with weights and masks, and its log (.csv).
"""

import sys
from pathlib import Path
from typing import Literal

from lib.params.section import parse
from lib.steps.prune import PruneJob, prune
from lib.training.run import setting
from stages.command import arguments, run


def main() -> None:
    """One method at one keep ratio with one seed."""
    given = arguments(
        __doc__,
        method=str,
        keep_ratio=float,
        compaction=Literal["scatter", "coupled"],
        seed=int,
        dense=Path,
        guide=Path,
        data=Path,
        resume_dir=Path,
        out=Path,
        log=Path,
    )
    document = parse(given.params.read_text())
    cell = PruneJob(given.method, given.keep_ratio, coupled=given.compaction == "coupled")
    here = setting(document, given.data, given.seed, given.resume_dir)
    remark = prune(document, cell, given.dense, given.guide, here, given.out, given.log)
    sys.stderr.write(f"{remark}\n" if remark else "")


if __name__ == "__main__":
    run(main)
