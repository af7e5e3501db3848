"""Gather the distillers' teacher of one seed: a network of the suite, a checkpoint from elsewhere, or several.

Reads the folder of the suite's teachers and the data folder; writes a folder of checkpoints, or fails when one of them hardly
beats guessing.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Params, Seed, read_params, run


def main(
    seed: Seed,
    teachers: Annotated[Path, "the folder of the suite's teachers of this seed"],
    data: Data,
    out: Annotated[Path, "the folder to write"],
    params: Params = PARAMS,
) -> None:
    """Keys distill.teachers and distill.allow_weak_teachers."""
    from lib.params.section import read
    from lib.params.suite import Teachers
    from lib.steps.guide import assemble
    from lib.training.run import setting

    document = read_params(params)
    here = setting(document, data, seed, resume_dir=Path())  # nothing is trained
    chosen, weak = read(document, "distill.teachers", Teachers), read(document, "distill.allow_weak_teachers", bool)
    assemble(chosen, teachers, here, out, weak)


if __name__ == "__main__":
    run(main)
