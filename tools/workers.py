"""Bring the cells of the pipeline up to date several at once; `dvc repro` then has the last stages left to run.

`dvc repro` itself runs one stage after the other. Here each worker runs `dvc repro --single-item` on a chain of stages whose
inputs are ready. Ctrl-C ends the running trainings; the next run continues them from their last epoch.
"""

import subprocess
import sys
from typing import Annotated

from stages.command import die_with_parent, run

ALONE = {"latency", "tabulate"}  # timing must have the machine to itself, and the table comes last


def main(jobs: Annotated[int, "how many at once"]) -> None:
    """All stages that workers may share."""
    from dvc.repo import Repo

    from lib.graph.chains import affected, batched, chains, run_all

    _dvc("check")  # and the code manifests before it: what they say decides what else is stale
    with Repo() as repo:
        graph = {stage.addressing: frozenset(n.addressing for n in needs) for stage, needs in repo.index.graph.adj.items()}
        stale = repo.status()
    todo = batched(chains(graph, affected(graph, stale) - ALONE), jobs)
    run_all(todo, lambda chain: _dvc("--single-item", *chain), jobs)


def _dvc(*words: str) -> None:
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *words]
    if subprocess.run(command, check=False, preexec_fn=die_with_parent).returncode:
        msg = f"{' '.join(command)} failed, see above; mend the cause and run the same command again"
        raise ValueError(msg)


if __name__ == "__main__":
    run(main)
