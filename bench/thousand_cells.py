"""What a suite of 1,000 cells costs beside its trainings: `python -m bench.thousand_cells --json docs/measured/cells.json`.

The graph is dvc.yaml itself, with its dependencies, parameters and outputs, but every command only writes small files. It is
run as `make repro` runs it. Printed are CPU seconds a cell (of all processes, those of the commands included), the time by
the clock, the size of dvc.lock, and the memory of the largest process. Five seeds and two distillers make ten cells of every
method and keep ratio; dense is one of them. docs/scale-plan.md is made of docs/measured/cells.json.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml

from bench.dvc_cost import ROOT, environment
from lib.atomic import write_text
from stages.command import run as run_command

MOST = 3.0  # CPU seconds a cell
SEEDS, DISTILLERS = [0, 1, 2, 3, 4], ["none", "kd"]
MOST_RATIOS = 100  # as an axis of a suite has
EACH = len(SEEDS) * len(DISTILLERS)
INPUTS = ("lib/all.py", "stages/all.py", "requirements.lock", "suites/published.yaml")
HAS_ENDING = re.compile(r"\.\w+$")  # files have one, folders have none


def project(folder: Path, cells: int) -> int:
    """Write a project of so many cells; the number of its stages. Raises ValueError for a number that no axes give."""
    ratios = cells // EACH - 1
    if cells % EACH or not 1 <= ratios <= MOST_RATIOS:
        msg = f"cells is {cells}; give a multiple of {EACH} from {2 * EACH} to {(MOST_RATIOS + 1) * EACH}"
        raise ValueError(msg)
    params = yaml.safe_load((ROOT / "suites/digits.yaml").read_text())
    axes = {"methods": ["l1"], "keep_ratios": [(one + 1) / 1000 for one in range(ratios)]}
    params["benchmark"] |= axes | {"distillers": DISTILLERS, "seeds": SEEDS}
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    for name, stage in graph["stages"].items():
        stage["cmd"] = _command(_manifests(graph, params) if name == "code" else list(_outputs(stage)))
    for path in INPUTS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    _write(folder, params, graph)
    return sum(_times(stage, params) for stage in graph["stages"].values())


def _write(folder: Path, params: Mapping[str, Any], graph: Mapping[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    (folder / ".dvcignore").write_text(".scratch\n")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def _outputs(stage: Mapping[str, Any]) -> Iterable[str]:
    """The files that a stage writes; one in each of its folders."""
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind, []):
            path = out if isinstance(out, str) else next(iter(out))
            yield path if HAS_ENDING.search(path) else f"{path}/all.txt"


def _manifests(graph: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """The files of data/code that other stages depend on."""
    found = {dep for stage in graph["stages"].values() for dep in stage["deps"] if dep.startswith("data/code/")}
    names = {"network": "trained", "method": "methods", "distiller": "distillers"}
    for item, axis in names.items():
        mark = f"${{item.{item}}}"
        found = {dep.replace(mark, value) for dep in found for value in ("dense", *params["benchmark"][axis])}
    return sorted(found)


def _command(paths: Iterable[str]) -> str:
    files = list(paths)
    folders = " ".join(sorted({str(Path(path).parent) for path in files}))
    return f"mkdir -p {folders} && for path in {' '.join(files)}; do echo $path > $path; done"


def _times(stage: Mapping[str, Any], params: Mapping[str, Any]) -> int:
    """How many stages one becomes."""
    times = 1
    for values in stage.get("matrix", {}).values():
        times *= len(values if isinstance(values, list) else params["benchmark"][values[len("${benchmark.") : -1]])
    return times


def measured(folder: Path, jobs: int) -> dict[str, float]:
    """Run what `make repro` runs. Raises RuntimeError with its output where it fails."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "tools.workers", "--jobs", str(jobs)]
    done = subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 1), "wall_s": round(time.perf_counter() - start, 1), "peak_mib": after.ru_maxrss // 1024}


def ran(cells: int, jobs: int) -> dict[str, float]:
    """The figures of one run, and of a second one that finds nothing to do."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stages = project(folder, cells)
        found = measured(folder, jobs)
        lock = (folder / "dvc.lock").stat().st_size
        idle = measured(folder, jobs)["cpu_s"]
    return {"cells": cells, "stages": stages, "jobs": jobs, **found, "idle_cpu_s": idle, "lock_bytes": lock}


def keep(path: Path, run: Mapping[str, float]) -> None:
    """Add a run to a file of runs, in place of an older one of as many cells."""
    runs = json.loads(path.read_text()) if path.exists() else []
    others = [one for one in runs if one["cells"] != run["cells"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted([*others, run], key=lambda one: one["cells"])
    write_text(path, "[\n" + ",\n".join(f"  {json.dumps(one)}" for one in ordered) + "\n]\n")


def main(
    cells: Annotated[int, "how many"] = 1000,
    jobs: Annotated[int, "how many at once"] = 2,
    json: Annotated[Path | None, "a file to keep the figures in"] = None,
) -> None:
    """One run, and whether the bound holds."""
    run = ran(cells, jobs)
    if json is not None:
        keep(json, run)
    each = run["cpu_s"] / cells
    print(
        f"{cells} cells, {run['stages']} stages: {run['cpu_s']} s CPU, {each:.2f} s for each; {run['wall_s']} s by the clock; "
        f"nothing to do: {run['idle_cpu_s']} s CPU; dvc.lock {run['lock_bytes'] / 1e6:.2f} MB; "
        f"largest process {run['peak_mib']} MiB"
    )
    print(f"for each at most {MOST} s: {'good' if each <= MOST else 'TOO MUCH'}")
    sys.exit(each > MOST)


if __name__ == "__main__":
    run_command(main)
