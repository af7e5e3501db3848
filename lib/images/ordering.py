"""An order of images that depends on the images alone, and a digest of a whole data set in that order."""

import hashlib
from collections.abc import Mapping

import torch

from lib.images.splitting import Labelled


def ordered(split: Labelled) -> Labelled:
    """The images by label, and within a label by the sha256 of their pixels: the same order, whatever file they came from."""
    images, labels = split
    digests = _digests(split)
    index = torch.tensor(sorted(range(len(labels)), key=lambda at: (int(labels[at]), digests[at])), dtype=torch.int64)
    return images[index], labels[index]


def digest(splits: Mapping[str, Labelled]) -> str:
    """The sha256, in hex, of all pixels and labels of all splits; the order of the images does not matter."""
    whole = hashlib.sha256()
    for name, split in sorted(splits.items()):
        keys = sorted(zip(split[1].tolist(), _digests(split), strict=True))
        whole.update(f"{name} {len(keys)}".encode())
        for label, pixels in keys:
            whole.update(label.to_bytes(4, "big") + pixels)
    return whole.hexdigest()


def _digests(split: Labelled) -> list[bytes]:
    return [hashlib.sha256(image.contiguous().numpy().tobytes()).digest() for image in split[0]]
