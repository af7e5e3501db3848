"""Train a pruned network with a distiller, its masks held.

Reads the pruned checkpoint, the guide's (a checkpoint or a folder of them) and the data folder; writes a checkpoint and a
log of the training (.csv).
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Guide, Log, Params, ResumeDir, Seed, read_params, run


def main(
    distiller: Annotated[str, "a name of distill.distillers"],
    seed: Seed,
    pruned: Annotated[Path, "the pruned checkpoint"],
    guide: Guide,
    data: Data,
    resume_dir: ResumeDir,
    out: Annotated[Path, "the checkpoint to write"],
    log: Log,
    params: Params = PARAMS,
) -> None:
    """One distiller on one pruned network."""
    from lib.steps.distill import distill
    from lib.training.run import setting

    document = read_params(params)
    distill(document, distiller, pruned, guide, setting(document, data, seed, resume_dir), out, log)


if __name__ == "__main__":
    run(main)
