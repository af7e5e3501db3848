"""Gather the distillers' teacher of one seed: a network of the suite, a checkpoint from elsewhere, or several.

Reads the folder of the suite's teachers and the data folder; writes a folder of checkpoints, or fails when one of them hardly
knows more than the commonest class.
"""

from pathlib import Path

from lib.params.section import parse, read
from lib.params.suite import Teachers
from lib.steps.guide import assemble
from lib.training.run import setting
from stages.command import arguments, run


def main() -> None:
    """Keys distill.teachers and distill.allow_weak_teachers."""
    given = arguments(__doc__, seed=int, teachers=Path, data=Path, out=Path)
    document = parse(given.params.read_text())
    teachers = read(document, "distill.teachers", Teachers)
    here = setting(document, given.data, given.seed, resume_dir=Path())  # nothing is trained
    assemble(teachers, given.teachers, here, given.out, read(document, "distill.allow_weak_teachers", bool))


if __name__ == "__main__":
    run(main)
