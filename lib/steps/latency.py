"""Timing the cells of a suite, one file each, and saying on what."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lib.atomic import write_text
from lib.runtimes.timing import LatencySettings, machine, time_in_turns
from lib.formats.checkpoint import load
from lib.masks.kept import apply_
from lib.params.suite import Suite
from lib.training.device import Compute, prepare


def clock(suite: Suite, masked: Path, compact: Path, params: LatencySettings, compute: Compute, out: Path) -> None:
    """Time the masked and the compact network of every cell that `suite.timed` names; writes <key>.json and machine.json.

    masked, compact: folders of checkpoints <cell key>.safetensors. Cells of equal widths share one timing: which filters
    were kept makes no difference to the clock.
    """
    device = prepare(compute)
    timed: dict[tuple[int, ...], dict[str, Any]] = {}
    for cell in suite.timed:
        pruned, small = (load(folder / f"{cell.key}.safetensors") for folder in (masked, compact))
        if pruned.kept is not None:
            apply_(pruned.network, pruned.kept)
        widths = tuple(size for tensor in small.network.state_dict().values() for size in tensor.shape)
        if widths not in timed:
            timings = time_in_turns({"masked": pruned.network, "compact": small.network}, small.shape, params, device)
            timed[widths] = {name: {size: asdict(timing) for size, timing in sizes.items()} for name, sizes in timings.items()}
        write_text(out / f"{cell.pruned_key}.json", json.dumps(timed[widths], indent=2, sort_keys=True) + "\n")
    write_text(out / "machine.json", json.dumps(machine(device, compute.threads), indent=2, sort_keys=True) + "\n")
