"""The page of the training recipe: its parts, and what each was measured to be worth on the validation split."""

import json
import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from docs.generator import openings
from docs.generator.markdown import NOTE, table
from lib.tables.comparisons import LEVEL, Tally, holm, interval, readable, smallest, tallied
from lib.tables.predictions import Right

MEASURED = Path("docs/measured/recipe.json")


class Part(NamedTuple):
    """changes: by dotted place in the parameter file. method: that prunes, where something is pruned."""

    name: str
    meaning: str
    changes: Mapping[str, Any]
    method: str = "l1"


LINEAR = {"kind": "one_cycle", "peak": 0.15, "start_factor": 0.1, "final_factor": 0.0}
COSINE = {"kind": "cosine", "warmup_epochs": 1, "warmup_factor": 0.1, "final_factor": 0.0}
EMA = {"kind": "ema", "decay": 0.995, "start": 0.5, "images": 8192}
SWA = {"kind": "swa", "start": 0.85, "images": 8192}
PLAIN = {
    "augmentation.flip": "random",
    "teacher.averaging": None,
    "teacher.decayed": "all",
    "teacher.label_smoothing": 0.0,
    "teacher.schedule": LINEAR,
}
TRAINED = (
    Part("plain", "random flips, decay of everything, linear to zero", PLAIN),
    Part("no decay on batch norms", "`decayed: weights`", PLAIN | {"teacher.decayed": "weights"}),
    Part("label smoothing", "`label_smoothing: 0.1`", PLAIN | {"teacher.label_smoothing": 0.1}),
    Part("alternating flips", "`flip: alternating`", PLAIN | {"augmentation.flip": "alternating"}),
    Part("EMA", "`averaging: {kind: ema, decay: 0.995, start: 0.5}`", PLAIN | {"teacher.averaging": EMA}),
    Part("SWA", "`averaging: {kind: swa, start: 0.85}`", PLAIN | {"teacher.averaging": SWA}),
    Part("cosine", "cosine to zero instead of linear", PLAIN | {"teacher.schedule": COSINE}),
)
FALLING = {"kind": "one_cycle", "peak": 0.0001, "start_factor": 1.0, "final_factor": 0.0}
HELD = {
    "augmentation.flip": "random",
    "benchmark.distillers": ["none"],
    "distill.training.epochs": 4,
    "distill.training.lr": 0.01,
    "distill.training.schedule": FALLING,
    "prune.calibration": None,
    "prune.training.epochs": 1,
    "prune.training.lr": 0.01,
}
LARGE = {"distill.training.lr": 0.1, "prune.training.lr": 0.1}
PRUNED = (
    Part("plain", "learning rate 0.01 after pruning, linear to zero, no distillation", HELD),
    Part("large learning rate", "0.1", HELD | LARGE),
    Part("batch norms estimated again", "`prune.calibration: 4096`", HELD | {"prune.calibration": 4096}),
    Part("kd", "distiller `kd`, at 0.1", HELD | LARGE | {"benchmark.distillers": ["kd"]}),
    Part("lskd", "distiller `lskd`, at 0.1", HELD | LARGE | {"benchmark.distillers": ["lskd"]}),
)
HEADS = ("Part", "Setting", "Seeds", "Validation top-1 %", "Δ plain", "95 %", "p")


def page(root: Path) -> str:
    """The whole page; what was not measured yet is left out."""
    rows = json.loads((root / MEASURED).read_text())
    halves = [("trained", TRAINED, openings.RECIPE_TRAINED), ("pruned", PRUNED, openings.RECIPE_PRUNED)]
    parts = [
        NOTE.format(source=MEASURED.as_posix()),
        openings.RECIPE.format(
            machines="; ".join(sorted({row["machine"] for row in rows})),
            epochs=max(row["epochs"] for row in rows if row["stage"] == "trained"),
        ),
    ]
    for stage, names, text in halves:
        own = [row for row in rows if row["stage"] == stage]
        if own:
            epochs = ", ".join(sorted({str(row["epochs"]) for row in own}))
            parts += [text.format(epochs=epochs, images=own[0]["images"], level=LEVEL), gains(own, names), verdict(own, names)]
    return "\n\n".join(parts) + "\n"


def gains(rows: Sequence[Mapping[str, Any]], parts: Sequence[Part]) -> str:
    """A row a part: its accuracy, and the paired difference to plain over the seeds that both have."""
    there, corrected = _compared(rows, parts)
    pruned = any("pruned_top1" in row for row in rows)
    body = []
    for part in parts:
        own = [row for row in rows if row["part"] == part.name]
        if not own:
            continue
        mean = f"{np.mean([row['validation_top1'] for row in own]):.2f}"
        before = [f"{np.mean([row['pruned_top1'] for row in own]):.2f}"] if pruned else []
        body.append(
            [part.name, part.meaning, str(len(own)), mean, *_told(there.get(part.name), corrected.get(part.name)), *before]
        )
    return table([*HEADS, *(["Right after pruning %"] if pruned else [])], body)


def verdict(rows: Sequence[Mapping[str, Any]], parts: Sequence[Part]) -> str:
    """Which parts differ from plain, and how small a difference the table can tell."""
    there, corrected = _compared(rows, parts)
    if not there:
        return ""
    columns = pd.DataFrame([{"spread": made.spread, "images": made.images} for made in there.values()])
    different = [f"{name} ({np.mean(there[name].differences):+.2f})" for name in there if corrected[name] < LEVEL]
    told = f"Different from plain: {', '.join(different)}." if different else "No part can be told apart from plain."
    return f"{told} A difference below about {smallest(columns, len(there)):.1f} points is too small for this table to tell."


def _compared(rows: Sequence[Mapping[str, Any]], parts: Sequence[Part]) -> tuple[dict[str, Tally], dict[str, float]]:
    """Each part against plain, where both are there, and p by Holm."""
    right = {(row["part"], row["seed"]): right_of(row) for row in rows}
    compared = {part.name: _against_plain(part.name, right) for part in parts[1:]}
    there = {name: made for name, made in compared.items() if made is not None}
    return there, dict(zip(there, holm([made.p for made in there.values()]), strict=True))


def _against_plain(name: str, right: Mapping[tuple[str, int], Right]) -> Tally | None:
    seeds = sorted(seed for part, seed in right if part == name and ("plain", seed) in right)
    if not seeds:
        return None
    return tallied([(right[name, seed], right["plain", seed]) for seed in seeds])


def _told(made: Tally | None, corrected: float | None) -> list[str]:
    if made is None or corrected is None:
        return ["", "", ""]
    low, high = interval(made.differences)
    between = "" if math.isnan(low) else f"{low:+.2f} to {high:+.2f}"
    return [f"{np.mean(made.differences):+.2f}", between, readable(corrected, 3, "f")]


def right_of(row: Mapping[str, Any]) -> Right:
    """Which validation images a training of the file told right, bool (N,)."""
    return np.unpackbits(np.frombuffer(b64decode(row["right"]), np.uint8))[: row["images"]].astype(bool)
