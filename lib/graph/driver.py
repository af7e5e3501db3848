"""A run on the machines of a cluster, from the machine where it was asked for."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.graph import report
from lib.graph.cell import Job
from lib.graph.cluster import Tasks, too_large
from lib.graph.line import above, cells
from lib.graph.pipeline import Pipeline
from lib.graph.schedule import Schedule, Sent


def asked(compute: Mapping[str, Any], cpus: float | None, gpus: float) -> dict[str, float]:
    """What a cell takes, as Ray names it. compute: the section; cpus: None for as many cores as a training has threads.

    Raises ValueError for what does not go together.
    """
    if compute["rendezvous"] is not None:
        msg = "compute.rendezvous spreads each training over machines, and this command spreads cells; set it to null"
        raise ValueError(msg)
    if compute["device"] == "cuda" and not gpus:
        msg = "compute.device is cuda and the cells get no GPU; say how much of one, e.g. --gpus-per-cell 0.25"
        raise ValueError(msg)
    cores = compute["threads"] * compute["processes"] if cpus is None else cpus
    return {"num_cpus": cores, "num_gpus": gpus}


def run_all(pipeline: Pipeline, job: Job, takes: Mapping[str, float], later: set[str], logs: Path) -> None:
    """Run what is stale, but for the stages called `later`. takes: see `asked`. Raises ValueError when any failed."""
    if waits := too_large(takes):
        logging.warning(waits)
    shutil.rmtree(logs, ignore_errors=True)
    todo = Schedule(pipeline.todo(later=later))
    tasks = Tasks(job, pipeline.known, takes, logs)

    def take(sent: list[Sent]) -> None:
        pipeline.merge(sent)
        if missing := pipeline.restore(name for name, _ in sent):
            logging.warning("not in DVC's cache, so that it runs again here: %s", ", ".join(missing))
        above(report.notes(sent, logs))

    with cells(len(todo.waiting)) as tell:
        todo.carry_out(tasks, take, lambda: tell(len(todo.done), report.spread(todo, job.shared.hosts(), tasks.lost.total())))
    if todo.failed:
        raise ValueError(report.failures(todo, logs))
