"""The page of plans: what large suites cost, from their parameters and what was measured of DVC, decoding and training."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.generator import openings
from docs.generator.markdown import NOTE, table
from docs.generator.planning import STEP, Plan, counted, plan
from lib.graph import suites
from lib.networks.architecture import Architecture
from lib.params.section import parse

FOLDER = Path("docs/measured")
SUITES = ("imagenet-resnet18-sfp", "imagenet-resnet50-sfp", "imagenet-resnet50-kdfs", "cifar10-thousand")
HOUR, YEAR = 3600, 3600 * 24 * 365
TARGET = 3.0  # CPU seconds of DVC a cell, as bench.thousand_cells has it


@dataclass(frozen=True)
class Device:
    """What trains so many MACs a second. datasets: for which it is taken; measured: here, and not by somebody else."""

    name: str
    rate: float
    images_per_s: float
    datasets: tuple[str, ...]
    measured: bool
    source: str


def page(root: Path) -> str:
    """The whole page."""
    known = suites.of(root)
    plans = [plan(parse(known.text(name))) for name in SUITES]
    devices = [device(one) for one in json.loads((root / FOLDER / "throughput.json").read_text())]
    runs = json.loads((root / FOLDER / "cells.json").read_text())
    decoding = json.loads((root / FOLDER / "decoding.json").read_text())
    parts = [
        NOTE.format(source="suites/ and docs/measured/"),
        openings.SCALE,
        costs(plans, devices, runs[-1]),
        openings.SCALE_COUNTED,
        rates(devices),
        cells(runs),
        breaks(plans, devices, runs[-1], decoding),
    ]
    return "\n\n".join(parts) + "\n"


def device(found: Mapping[str, Any]) -> Device:
    """From its images a second: each is a forward and a backward pass."""
    channels, height, width = found["shape"]
    macs = counted(Architecture(found["builder"], found["classes"], channels, (height, width))).macs
    images = found["images"] / found["seconds"]
    datasets = tuple(found["datasets"])
    return Device(found["device"], images * STEP * macs, images, datasets, found["measured_here"], found["source"])


def costs(plans: Sequence[Plan], devices: Sequence[Device], run: Mapping[str, float]) -> str:
    """A row a suite."""
    header = ["Suite", "Cells", "Epochs", "Images", "MACs", "GPU hours", "Years on one thread here", "Longest cell"]
    header += ["In DVC's cache", "DVC, CPU", "`dvc.lock`", "Timing, at most"]
    return table(header, [_row(one, devices, run) for one in plans])


def _row(one: Plan, devices: Sequence[Device], run: Mapping[str, float]) -> list[str]:
    gpu, here = _gpu(one, devices), next(device for device in devices if device.measured)
    share = one.cells / run["cells"]
    return [
        f"[{one.suite.name}](../suites/{one.suite.name}.yaml)",
        f"{one.cells:,}",
        f"{one.epochs:,}",
        f"{one.images / 1e6:,.0f} M",
        f"{one.macs:.1e}",
        f"{one.macs / gpu.rate / HOUR:,.0f} ({gpu.name})",
        f"{one.macs / here.rate / YEAR:.1f}",
        f"{one.longest / gpu.rate / HOUR:.1f} h",
        f"{one.stored / 1e9:.1f} GB",
        f"{run['cpu_s'] * share / 60:,.1f} min",
        f"{run['lock_bytes'] * share / 1e6:.2f} MB",
        f"{one.timing_s / 60:.0f} min",
    ]


def rates(devices: Sequence[Device]) -> str:
    """What trains how fast, and who says so."""
    header = ["Device", "Images a second", "MACs a second", "Figure", "Source"]
    body = [
        [one.name, f"{one.images_per_s:,.0f}", f"{one.rate:.1e}", "measured here" if one.measured else "assumed", one.source]
        for one in devices
    ]
    return f"## Throughput\n\n{openings.SCALE_RATES}\n\n{table(header, body)}"


def cells(runs: Sequence[Mapping[str, float]]) -> str:
    """What DVC costs, by the number of cells."""
    header = ["Cells", "Stages", "CPU s", "CPU s a cell", "By the clock, s", "Nothing to do, CPU s", "`dvc.lock`", "Memory"]
    body = [
        [
            f"{run['cells']:,}",
            f"{run['stages']:,}",
            f"{run['cpu_s']:,.1f}",
            f"{run['cpu_s'] / run['cells']:.2f}",
            f"{run['wall_s']:,.0f}",
            f"{run['idle_cpu_s']:,.1f}",
            f"{run['lock_bytes'] / 1e6:.2f} MB",
            f"{run['peak_mib']:,.0f} MiB",
        ]
        for run in runs
    ]
    last = runs[-1]
    each = last["cpu_s"] / last["cells"]
    met = f"The target is under {TARGET:.0f} CPU seconds a cell; the largest run took {each:.2f}."
    return f"## DVC\n\n{openings.SCALE_DVC}\n\n{table(header, body)}\n\n{met}"


def breaks(plans: Sequence[Plan], devices: Sequence[Device], run: Mapping[str, float], decoding: Mapping[str, float]) -> str:
    """What gives way first, in the order in which it does."""
    many = max(plans, key=lambda one: one.cells)
    longest = max(plans, key=lambda one: one.longest / _gpu(one, devices).rate)
    hungry = max((one for one in plans if one.suite.dataset == "imagenet"), key=lambda one: _appetite(one, devices))
    written = many.chains * run["lock_bytes"] / run["cells"] * many.cells / 2
    facts = {
        "cores": str(math.ceil(_appetite(hungry, devices) / decoding["images_per_cpu_s"])),
        "eats": f"{_appetite(hungry, devices):,.0f}",
        "hungry": hungry.suite.name,
        "decodes": f"{decoding['images_per_cpu_s']:.0f}",
        "kilobytes": f"{decoding['mean_bytes'] / 1000:.0f}",
        "longest": longest.suite.name,
        "hours": f"{longest.longest / _gpu(longest, devices).rate / HOUR:.0f}",
        "many": many.suite.name,
        "timing": f"{many.timing_s / 60:.0f}",
        "written": f"{written / 1e9:.1f}",
        "ten_times": f"{100 * written / 1e9:,.0f}",
    }
    return openings.SCALE_BREAKS.format(**facts)


def _gpu(one: Plan, devices: Sequence[Device]) -> Device:
    return next(device for device in devices if not device.measured and one.suite.dataset in device.datasets)


def _appetite(one: Plan, devices: Sequence[Device]) -> float:
    """Images of a suite that its GPU trains on in a second."""
    return _gpu(one, devices).rate / (one.macs / one.images)
