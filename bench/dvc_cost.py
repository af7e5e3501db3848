"""CPU seconds that DVC costs for a cell, at 30 and at 200 cells: `python -m bench.dvc_cost`.

A project of fake stages (one shell command each) with the graph of the real one: five stages a cell behind shared ones, and
params.yaml and dvc.yaml of like size. All CPU time of `make repro` counts, that of the fake commands too; a cell's share is
what is left of it per cell. The second figure is that of a run that finds nothing to do, the third of the start alone.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import yaml

from stages.command import run as run_command

ROOT = Path(__file__).parent.parent
STAGES = ("prune", "distill", "compact", "encode", "measure")
METHODS = ["l1", "ahsg_ht", "fpgm", "kdfs", "merge", "nggm", "random", "scratch", "sfp", "taylor"]
MOST, MOST_RATIO = 4.0, 1.5


def project(folder: Path, cells: int, command: str = "cat {deps} > {out}") -> None:
    """Write a DVC project of fake cells, five stages each; `command` may name {stage}, {deps} and {out}."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    methods = METHODS if cells % len(METHODS) == 0 else METHODS[:1]  # two axes: params.yaml is as long for many cells
    params["benchmark"] |= {"methods": methods, "seeds": list(range(cells // len(methods)))}
    stages = {"data": _stage("mkdir -p data && echo data > data/all.txt", [], ["data"], "data/all.txt")}
    before = []
    for name in STAGES:
        out = f"models/{name}-${{key}}.txt"
        deps = ["data/all.txt", *before[-1:]]
        words = command.format(stage=name, deps=" ".join(deps), out=out)
        stages[name] = {
            "matrix": {"method": "${benchmark.methods}", "seed": "${benchmark.seeds}"},
            **_stage(f"mkdir -p models && {words}", deps, ["augmentation", "compute", "distill.terms", "prune.training"], out),
        }
        before.append(out)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (folder / ".gitignore").write_text("/data\n/models\n.scratch\n")
    (folder / ".dvcignore").write_text(".gitignore\n.scratch\n")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def _stage(command: str, deps: Sequence[str], params: Sequence[str], out: str) -> dict[str, object]:
    return {"cmd": command, "deps": list(deps), "params": list(params), "outs": [out]}


def environment(folder: Path) -> dict[str, str]:
    """That of this process, away from this machine's own DVC state, with this project's tools."""
    names = ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    state = {name: str(folder / ".dvc/tmp" / name.lower()) for name in names}
    return {**os.environ, **state, "DVC_NO_ANALYTICS": "1", "CI": "1", "PYTHONPATH": str(ROOT)}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project; its output, both streams as one."""
    return subprocess.run(
        words, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def workers(folder: Path, jobs: int = 2) -> subprocess.CompletedProcess[str]:
    """What `make repro` runs."""
    return run(folder, sys.executable, "-m", "tools.workers", "--jobs", str(jobs))


def cpu(folder: Path, cells: int) -> tuple[float, float]:
    """CPU seconds of a run of all cells, and of a run with nothing to do."""
    project(folder, cells)
    found = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = workers(folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise RuntimeError(done.stdout)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return found[0], found[1]


def main(cells: Annotated[tuple[int, ...], "how many, one run for each"] = (30, 200)) -> None:
    """Both sizes, and whether the bounds hold."""
    each = []
    for count in cells:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            whole, nothing = cpu(Path(folder), count)
        each.append(whole / count)
        print(
            f"{count:4} cells: {whole:6.1f} s CPU, {each[-1]:.2f} s for each; nothing to do: {nothing:.1f} s; "
            f"{time.perf_counter() - start:.0f} s by the clock"
        )
    ratio = max(each) / min(each)
    good = max(each) <= MOST and ratio <= MOST_RATIO
    print(
        f"for each at most {max(each):.2f} s (bound {MOST}), within {ratio:.2f} of one another (bound {MOST_RATIO}): "
        f"{'good' if good else 'TOO MUCH'}"
    )
    sys.exit(not good)


if __name__ == "__main__":
    run_command(main)
