"""Bring the cells of the pipeline up to date several at once; `dvc repro` then has the last stages left to run.

`dvc repro` itself runs one stage after the other. Here each worker runs `dvc repro --single-item` on a chain of stages whose
inputs are ready. Ctrl-C ends the running trainings; the next run continues them from their last epoch.
"""

import argparse
import subprocess
import sys

from lib.graph.chains import Chain, affected, batched, chains, run_all

ALONE = {"latency", "tabulate"}  # timing must have the machine to itself, and the table comes last


def main() -> None:
    """All stages that workers may share."""
    from dvc.repo import Repo

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, required=True, metavar="N", help="how many at once")
    jobs = parser.parse_args().jobs
    _dvc("check")  # and the code manifests before it: what they say decides what else is stale
    with Repo() as repo:
        graph = {stage.addressing: frozenset(n.addressing for n in needs) for stage, needs in repo.index.graph.adj.items()}
        stale = repo.status()
    todo = batched(chains(graph, affected(graph, stale) - ALONE), jobs)
    run_all(todo, _repro, jobs)


def _repro(chain: Chain) -> None:
    _dvc("--single-item", *chain)


def _dvc(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *words], check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {' '.join(error.cmd)} failed, see above; mend the cause and run the same command again")
