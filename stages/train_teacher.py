"""Train a whole network: the teacher, and what pruning starts from.

Reads the data folder; writes a checkpoint and a log of the training (.csv).
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Log, Params, ResumeDir, Seed, read_params, run


def main(
    network: Annotated[str, "its name, one of benchmark.trained"],
    seed: Seed,
    data: Data,
    resume_dir: ResumeDir,
    out: Annotated[Path, "the checkpoint to write"],
    log: Log,
    cache: Annotated[Path, "the folder that keeps given weights that are downloaded"] = Path(".scratch/downloads"),
    params: Params = PARAMS,
) -> None:
    """One network."""
    from lib.steps.train_teacher import teach
    from lib.training.run import setting

    document = read_params(params)
    sys.stderr.write(teach(document, network, setting(document, data, seed, resume_dir), cache, out, log))


if __name__ == "__main__":
    run(main)
