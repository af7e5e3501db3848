"""Timing the cells of a suite, one file each, and saying on what."""

import json
from dataclasses import asdict
from pathlib import Path

from lib.atomic import write_text
from lib.checkpoint import load
from lib.computing import Compute, prepare
from lib.latency import Params, machine, time_in_turns
from lib.pruning.masks import apply_
from lib.suite import Suite


def clock(suite: Suite, masked: Path, compact: Path, params: Params, compute: Compute, out: Path) -> None:
    """Time the masked and the compact network of every cell that `suite.timed` names; writes <key>.json and machine.json.

    masked, compact: folders of checkpoints <cell key>.safetensors.
    """
    device = prepare(compute)
    for cell in suite.timed:
        pruned, small = (load(folder / f"{cell.key}.safetensors") for folder in (masked, compact))
        if pruned.masks is not None:
            apply_(pruned.network, pruned.masks)
        timings = time_in_turns({"masked": pruned.network, "compact": small.network}, small.shape, params, device)
        record = {name: {size: asdict(timing) for size, timing in sizes.items()} for name, sizes in timings.items()}
        write_text(out / f"{cell.pruned_key}.json", json.dumps(record, indent=2, sort_keys=True) + "\n")
    write_text(out / "machine.json", json.dumps(machine(device, compute.threads), indent=2, sort_keys=True) + "\n")
