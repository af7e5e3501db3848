"""Timing the networks of a suite as they ship, one file each, and saying on what."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lib.atomic import write_text
from lib.compaction.proof import verify
from lib.formats.checkpoint import load
from lib.formats.fitting import batches_for
from lib.formats.onnx import evenly
from lib.images.batches import Batches
from lib.images.dataset import Dataset
from lib.params.section import read
from lib.params.suite import DENSE, Cell
from lib.params.suite import read as read_suite
from lib.progress import networks
from lib.pruning.budgets import read as read_table
from lib.pruning.layers import Layers
from lib.runtimes.engine import Shipped
from lib.runtimes.timing import LatencySettings, Setting, Timing, machine, time_pair
from lib.training.device import Compute, prepare

CALIBRATION, BATCH = 256, 500  # training images for the ranges of integers; test images at once

DIFFERS = "the network as it ships is not equal to the compact one"

Shapes = tuple[tuple[int, ...], ...]


def clock(document: Mapping[str, Any], compact: Path, dataset: Dataset, out: Path) -> None:
    """Time the network of every cell that the suite times against the dense one; writes <key>.json and machine.json.

    compact: the folder of checkpoints <cell key>.safetensors. Every network is proved equal, as it ships, to the compact one
    on the whole test split. Those whose layers have the same shapes share a timing: which filters were kept makes no
    difference to the clock. Where not all networks are here, nothing is timed, and timings of before stay, as those of two
    machines do not belong together; so nothing is written either before all are timed. Raises ValueError where a network is
    not equal, and where nothing is here at all.
    """
    suite, settings = read_suite(document), read(document, "latency", LatencySettings)
    absent = [cell.key for cell in suite.timed if not (compact / f"{cell.key}.safetensors").is_file()]
    kept = any((out / f"{cell.pruned_key}.json").is_file() for cell in suite.timed)
    if absent and (kept or any((compact / f"{cell.key}.safetensors").is_file() for cell in suite.cells)):
        _keep(out, suite.timed, absent)
        return
    wanted = asked_in(document)
    device = prepare(read(document, "compute", Compute))
    timed: dict[Shapes, dict[Setting, Timing]] = {}
    forms: dict[Shapes, tuple[int, ...]] = {}  # in multiples of what the channels were timed
    cells = {cell.pruned_key: cell for cell in suite.timed}
    texts = dict[str, str]()
    dense, _ = _shipped(compact / f"{suite.timed[0].key}.safetensors", dataset, device)
    for key in networks(cells, "timing"):
        small, test = _shipped(compact / f"{cells[key].key}.safetensors", dataset, device)
        shapes = tuple(tuple(tensor.shape) for tensor in small.form(1).state_dict().values())
        if shapes not in timed:
            pairs = time_pair(dense, small, settings, [wanted] if wanted else [])
            timed[shapes] = {setting: first if cells[key].method == DENSE else own for setting, first, own in pairs}
            forms[shapes] = tuple(small.forms)
        for multiple in forms[shapes]:
            form = small.form(multiple)
            batches = (images for images, _ in test.plain(test.at_once(BATCH)))
            verify(small.network, form, batches, exact=small.exactly(multiple), differs=DIFFERS)
        rows = [{**setting._asdict(), **asdict(timing)} for setting, timing in timed[shapes].items()]
        texts[f"{key}.json"] = _text({"timings": rows, **asked(document, cells[key])})
    texts["machine.json"] = _text(machine(device, settings))
    for path in out.glob("*.json"):
        if path.name not in texts:  # of what the suite no longer has
            path.unlink()
    for name, text in texts.items():
        write_text(out / name, text)


def _keep(out: Path, timed: Sequence[Cell], absent: Sequence[str]) -> None:
    """Leave all timings as they are, and say so."""
    out.mkdir(parents=True, exist_ok=True)
    untimed = [cell.pruned_key for cell in timed if not (out / f"{cell.pruned_key}.json").is_file()]
    told = f"; not timed yet: {', '.join(untimed)}" if untimed else ""
    logging.warning("nothing is timed, because not all networks are here (%s)%s", ", ".join(absent), told)


def _shipped(source: Path, dataset: Dataset, device: torch.device) -> tuple[Shipped, Batches]:
    """A network with images to calibrate on, and the test split for it."""
    checkpoint = load(source)
    test = batches_for(source, checkpoint, dataset, "test", device)
    calibration = next(evenly(dataset, "train", CALIBRATION, checkpoint).plain(CALIBRATION))[0]
    return Shipped(checkpoint.network.to(device).eval(), calibration), test


def asked(document: Mapping[str, Any], cell: Cell) -> dict[str, Any]:
    """What share of the dense network's time a cell was pruned to, and in what setting; nothing where none was asked for."""
    setting = asked_in(document)
    if setting is None or cell.method == DENSE:
        return {}
    return {"asked_share": cell.keep_ratio, "asked_in": setting._asdict()}


def asked_in(document: Mapping[str, Any]) -> Setting | None:
    """The setting in which the layers' times were measured that pruning went by; None where it went by no times."""
    layers = read(document, "prune.layers", Layers)
    if layers.table is None:
        return None
    table = read_table(layers.table)
    return Setting("onnxruntime", table.threads, table.batch)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
