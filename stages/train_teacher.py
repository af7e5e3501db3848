"""Train a whole network: the teacher, and what pruning starts from.

Reads the data folder; writes a checkpoint and its log (.csv).
"""

from pathlib import Path

from lib.params.section import parse
from lib.steps.train_teacher import teach
from lib.training.run import setting
from stages.command import arguments, run


def main() -> None:
    """One teacher."""
    given = arguments(__doc__, network=str, seed=int, data=Path, resume_dir=Path, out=Path, log=Path)
    document = parse(given.params.read_text())
    teach(document, given.network, setting(document, given.data, given.seed, given.resume_dir), given.out, given.log)


if __name__ == "__main__":
    run(main)
