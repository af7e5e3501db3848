"""Run a chain of stages in this folder, what they need first; started by tasks of `tools.cluster`, never by hand.

The folder is a copy of a work tree that is made for the chain. Exit status 3 says that no cell may run on this machine.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

from stages.command import run


def main(
    stages: Annotated[tuple[str, ...], "the chain, in order"],
    sent: Annotated[Path, "the file for the new entries of dvc.lock: a line for each stage as it ends, [name, entry]"],
    parent: Annotated[int, "the process to end with"],
    cache: Annotated[Path, "the cache folder that all machines share"],
    run: Annotated[str, "the name of the driver's run"],
    device: Annotated[str, "compute.device"],
) -> None:
    """One chain."""
    from lib.graph.cell import REFUSED
    from lib.graph.environment import other_gpu
    from lib.graph.orphans import die_with_parent
    from lib.graph.pipeline import Pipeline, locked
    from lib.graph.shared import Shared

    die_with_parent(parent)
    if differs := other_gpu(Shared(cache, run), device):
        sys.stdout.write(f"{differs}; take machines with one type of GPU for a run\n")
        sys.exit(REFUSED)
    with locked(Path()) as repo, sent.open("w", buffering=1) as file:
        pipeline, notes = Pipeline(repo, Path("dvc.lock")), Path(".dvc/tmp/cell")
        notes.mkdir(parents=True)

        def send(message: tuple[str, str]) -> None:
            if message[0] in stages:
                file.write(f"{json.dumps(message)}\n")

        pipeline.reproduce((*pipeline.before(stages), *stages), notes, send)


if __name__ == "__main__":
    run(main)
