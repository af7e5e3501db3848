"""Bring the pipeline up to date, several cells at once; then `dvc repro` runs the last stages: timing and tables.

A worker takes a chain of stages whose inputs are ready and runs them as `dvc repro` would. A cell that fails leaves the others
running. Logs are in .scratch/workers. Ctrl-C ends the running trainings; the next run continues from their last epoch.

Named stages run with what they need, and no others: `python -m tools.workers --jobs 2 'measure@l1-*'`.

With --allow-missing a table that is in git goes on here without the networks behind it. Only cells that are new or whose
inputs changed run, and what they need before them. All others stay as the table has them, named or not.
"""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from stages.command import run
from stages.command.kinds import BARE

if TYPE_CHECKING:
    from lib.graph.schedule import Sent

ALONE = {"latency", "tabulate"}  # timing must have the machine to itself, and the table comes last
LOGS, HOURS = Path(".scratch/workers"), Path(".scratch/hours.json")


def main(
    jobs: Annotated[int, "how many at once"],
    stages: Annotated[tuple[str, ...], "e.g. distill or 'measure@l1-*'; all, and the table, if left out", BARE] = (),
    allow_missing: Annotated[bool, "leave out what is not on this machine and unchanged"] = False,
) -> None:
    """All stages that are not up to date, or those that are named."""
    if jobs < 1:
        msg = f"--jobs must be at least 1, got {jobs}"
        raise ValueError(msg)
    from lib.graph import finishing, provenance, report, suites
    from lib.graph.line import above, cells
    from lib.graph.pipeline import Pipeline, locked
    from lib.graph.workers import Running

    lax = ["--allow-missing"] if allow_missing else []
    if allow_missing:  # what all cells need must be here to know which of them changed
        with locked(Path()) as repo:
            first = Pipeline(repo, Path("dvc.lock")).single(ALONE, stages)
        if status := subprocess.run([sys.executable, "-m", "dvc", "repro", *first], check=False).returncode:
            sys.exit(status)
    with locked(Path()) as repo:
        pipeline = Pipeline(repo, Path("dvc.lock"), allow_missing=allow_missing)
        chains = pipeline.todo(later=ALONE, only=stages)
        if not pipeline.stale or (stages and not chains):
            sys.stderr.write("everything is up to date\n")
            return
        todo = Running(chains, pipeline.reproduce, LOGS)

        def heard(sent: list["Sent"]) -> None:
            pipeline.merge(sent)
            above(report.notes(sent, LOGS))

        with provenance.counted(HOURS, suites.of(Path()).active()), cells(len(todo.waiting)) as tell:
            todo.run(jobs, heard, lambda: tell(len(todo.done), report.state(todo)))
        for folder in pipeline.folders(ALONE) if allow_missing else ():
            folder.mkdir(parents=True, exist_ok=True)
    if todo.failed:
        raise ValueError(report.failures(todo, LOGS))
    if not stages:
        finishing.repro(*lax)


if __name__ == "__main__":
    run(main)
