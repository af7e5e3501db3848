"""Small whole images and archives, to be damaged."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
from PIL import Image

NAMES = [f"top/{split}/{kind}/{i}.png" for split in ("train", "val") for kind in ("cat", "dog") for i in range(2)]
KINDS = ("zip", "tar", "tar.gz")
SIZE = (6, 4)  # width, height


def image(number: int, suffix: str) -> bytes:
    """An image file of noise, the same for the same number."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, Image.registered_extensions()[suffix])
    return file.getvalue()


def archive(kind: str) -> bytes:
    """A data set of two classes as zip, tar or tar.gz."""
    file = io.BytesIO()
    images = {name: image(number, ".png") for number, name in enumerate(NAMES)}
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in images.items():
                packed.writestr(zipfile.ZipInfo(name), content)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in images.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0) if kind == "tar.gz" else file.getvalue()
