"""Train a pruned network with a distiller, its masks held.

Reads the pruned checkpoint, the guide's (a checkpoint or a folder of them) and the data folder; writes a checkpoint and its
log (.csv).
"""

from pathlib import Path

from lib.params.section import parse
from lib.steps.distill import distill
from lib.training.run import setting
from stages.command import arguments, run


def main() -> None:
    """One distiller on one pruned network."""
    given = arguments(
        __doc__, distiller=str, seed=int, pruned=Path, guide=Path, data=Path, resume_dir=Path, out=Path, log=Path
    )
    document = parse(given.params.read_text())
    here = setting(document, given.data, given.seed, given.resume_dir)
    distill(document, given.distiller, given.pruned, given.guide, here, given.out, given.log)


if __name__ == "__main__":
    run(main)
