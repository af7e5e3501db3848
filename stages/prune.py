"""Prune a trained network with one method at one keep ratio.

Reads the network's checkpoint, the guide's (a checkpoint or a folder of them, used when the method asks for guidance) and the
data folder; writes a checkpoint with weights and masks, and a log of the training (.csv).
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Compaction, Data, Guide, KeepRatio, Log, Params, ResumeDir, Seed, read_params, run


def main(
    method: Annotated[str, "a file of lib/pruning/methods, with its settings in prune.methods"],
    keep_ratio: KeepRatio,
    compaction: Compaction,
    seed: Seed,
    dense: Annotated[Path, "the checkpoint of the network to prune"],
    guide: Guide,
    data: Data,
    resume_dir: ResumeDir,
    out: Annotated[Path, "the checkpoint to write"],
    log: Log,
    params: Params = PARAMS,
) -> None:
    """One method at one keep ratio with one seed."""
    from lib.steps.prune import PruneJob, prune
    from lib.training.run import setting

    document = read_params(params)
    cell = PruneJob(method, keep_ratio, coupled=compaction == "coupled")
    sys.stderr.write(prune(document, cell, dense, guide, setting(document, data, seed, resume_dir), out, log))


if __name__ == "__main__":
    run(main)
