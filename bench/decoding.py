"""Images that one core decodes, cuts and mirrors in a second as in training on ImageNet: `python -m bench.decoding`.

Made-up photographs of ImageNet's usual size (500 x 375 pixels, some 110 kB of JPEG), read as `data.storage: files` reads them.
"""

import hashlib
import io
import json as documents
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from lib.atomic import write_text
from lib.images.augmentation import Augmentation, ResizedCrop
from lib.images.files import Files, Names
from lib.images.views import Draw, Frame, Views
from stages.command import run

SIZE, QUALITY, COUNT = (500, 375), 92, 64
AUGMENTATION = Augmentation(flip="random", crop_padding=0, resized_crop=ResizedCrop((0.08, 1.0), (0.75, 1.3333)), jitter=None)


def photograph(number: int) -> bytes:
    """A JPEG with details of several sizes."""
    random = np.random.default_rng(number)
    whole = np.zeros((SIZE[1], SIZE[0], 3))
    for shrunk, strength in ((32, 60), (8, 30), (2, 45)):
        noise = random.uniform(-1, 1, (SIZE[1] // shrunk + 1, SIZE[0] // shrunk + 1, 3))
        layer = Image.fromarray(((noise + 1) * 127).astype(np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
        whole += (np.asarray(layer) / 127.0 - 1) * strength
    content = io.BytesIO()
    Image.fromarray((whole + 127).clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def files(folder: Path) -> Files:
    """Photographs in a folder, indexed."""
    names = [f"{number}.jpg" for number in range(COUNT)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(photograph(number))
    sums = [np.frombuffer(hashlib.sha256((folder / name).read_bytes()).digest(), np.uint8) for name in names]
    return Files(folder, Names(names), np.stack(sums), np.arange(COUNT), None, None)


def main(
    seconds: Annotated[float, "how long to measure"] = 10.0,
    json: Annotated[Path | None, "a file to keep the figures in"] = None,
) -> None:
    """The rate of one core."""
    torch.set_num_threads(1)
    views = Views(Frame(224, 256), AUGMENTATION)
    with tempfile.TemporaryDirectory() as folder:
        images = files(Path(folder))
        mean = sum(path.stat().st_size for path in Path(folder).iterdir()) / COUNT
        views.drawn(images[0], Draw(0, 0, 0, 0))
        start, done = time.process_time(), 0
        while time.process_time() - start < seconds:
            views.drawn(images[done % COUNT], Draw(0, 0, done % 2, done))
            done += 1
        rate = done / (time.process_time() - start)
    print(f"{rate:.0f} images a CPU second; {mean / 1000:.0f} kB each")
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_text(json, documents.dumps({"images_per_cpu_s": round(rate, 1), "mean_bytes": round(mean)}) + "\n")


if __name__ == "__main__":
    run(main)
