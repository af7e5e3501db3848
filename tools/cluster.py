"""Bring the pipeline up to date on the machines of a Ray cluster; then `dvc repro` runs timing and tables here.

Every chain of stages is a task of Ray's. It runs in a copy of this work tree, and all machines share the folder of DVC's
cache. A chain whose machine is lost runs again on another one. A cell that fails leaves the others running. Logs are in
.scratch/cluster. Ctrl-C ends all tasks; the next run continues. docs/operations.md says how to start a cluster.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, read_params, run

ALONE = {"latency", "tabulate"}  # timing must have the machine to itself, and the table comes last
LOGS = Path(".scratch/cluster")
SAID = Path(".scratch/ray.txt")
VERSIONS = "requirements.lock"


def main(
    address: Annotated[str, "HOST:PORT of the cluster's head"],
    cpus_per_cell: Annotated[
        float | None, "cores that a cell takes; compute.threads times compute.processes if left out"
    ] = None,
    gpus_per_cell: Annotated[float, "GPUs that a cell takes; with 0.25, four cells share one"] = 0.0,
) -> None:
    """All stages that are not up to date."""
    from lib.graph import finishing
    from lib.graph.cell import Job
    from lib.graph.cluster import connected
    from lib.graph.driver import asked, run_all
    from lib.graph.environment import here
    from lib.graph.pipeline import Pipeline, locked
    from lib.graph.shared import sharing
    from lib.params.section import read
    from lib.training.device import Compute

    compute = read(read_params(PARAMS), "compute", Compute)
    takes = asked(vars(compute), cpus_per_cell, gpus_per_cell)
    with connected(address, Path.cwd(), SAID) as dashboard:
        check = [sys.executable, "-m", "dvc", "repro", "check"]
        if status := subprocess.run(check, stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(status)  # DVC has said why
        with locked(Path()) as repo, sharing(Path(repo.cache.local.path).parents[1], Path()) as shared:
            pipeline = Pipeline(repo, Path("dvc.lock"))
            if not pipeline.stale:
                sys.stderr.write("everything is up to date\n")
                return
            if dashboard:
                sys.stderr.write(f"Ray's dashboard: http://{dashboard}\n")
            job = Job(shared, here(Path(VERSIONS)), VERSIONS, compute.device, compute.threads)
            run_all(pipeline, job, takes, ALONE, LOGS)
    finishing.repro()


if __name__ == "__main__":
    run(main)
