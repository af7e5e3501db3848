"""Tiny things that many tests need: a parameter document, the digits on disk, an image folder."""

import copy
import functools
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.images.settings import DataSettings
from lib.params.section import parse, read
from lib.steps.download import make
from lib.training.run import Setting, setting

ROOT = Path(__file__).parent.parent
STAGES = (
    "code",
    "check",
    "download",
    "rehearse",
    "train_teacher",
    "guide",
    "prune",
    "distill",
    "compact",
    "encode",
    "measure",
    "latency",
    "tabulate",
)  # of the graph, in order
CLASSES = ("cat", "dog", "emu")
COUNTS = {"train": 4, "test": 2}  # images of each class


def document(**changes: Any) -> dict[str, Any]:
    """suites/digits.yaml made tiny; `teacher__lr=1.0` changes teacher.lr."""
    found = parse((ROOT / "suites/digits.yaml").read_text())
    short = {"epochs": 2, "batches": {"kind": "constant", "size": 256, "last": "merge"}}
    for training in (found["teacher"], found["prune"]["training"], found["distill"]["training"], found["encode"]["training"]):
        training.update(copy.deepcopy(short))
    found["prune"]["methods"]["ahsg_ht"] |= {"guide": {"feature": 1.0}, "warmup_epochs": 0, "batches": None}
    found["prune"]["methods"]["kdfs"]["finetune_epochs"] = 1
    for path, value in changes.items():
        *parents, last = path.split("__")
        functools.reduce(operator.getitem, parents, found)[last] = value
    return found


def digits(folder: Path) -> Path:
    """The digits data set, made in a folder."""
    params = read(document(), "data", DataSettings)
    make(params, folder / "cache", unwatched, folder / "digits")
    return folder / "digits"


def here(given: Mapping[str, Any], folder: Path, seed: int = 0) -> Setting:
    """The setting of a training on the digits in a folder, with scratch files beside them."""
    return setting(given, folder / "digits", seed, folder / "scratch")


def unwatched(names: Any, _: str) -> Any:
    """Progress that nobody sees."""
    return names


def image(path: Path, number: int, size: tuple[int, int] = (6, 4)) -> None:
    """A PNG of noise, the same for the same number; size: (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def image_folder(root: Path, test: str = "test") -> Path:
    """<root>/{train,test}/{cat,dog,emu}/<n>.png."""
    number = 0
    for split, count in COUNTS.items():
        for kind in CLASSES:
            for index in range(count):
                image(root / (test if split == "test" else split) / kind / f"{index}.png", number)
                number += 1
    return root


def obtained(source: Path, out: Path, workers: int = 0, **changes: Any) -> tuple[str, ...]:
    """The data set of a folder, by default whose images stay in their files; what the user is told of it."""
    watch = {"files": "requirements.lock", "memory": str(source)}[changes.get("storage", "files")]
    plain = document()["data"] | {"name": "mine", "source": str(source), "storage": "files", "watch": watch}
    params = read({"data": plain | {"validation_fraction": 0.25} | changes}, "data", DataSettings)
    return make(params, out.parent / "cache", unwatched, out, workers)


def timing(runtime: str = "pytorch", threads: int = 1, batch: Any = 1, **changes: Any) -> dict[str, Any]:
    """One entry of a file of latencies, made up."""
    times = {"median_ms": 2.0, "q25_ms": 1.5, "q75_ms": 3.0}
    speed = {"speedup": 1.0, "speedup_low": 0.9, "speedup_high": 1.1}
    sizes = {"file_bytes": 123456, "peak_mib": 34.5}
    return {"runtime": runtime, "threads": threads, "batch": batch} | times | speed | sizes | changes
