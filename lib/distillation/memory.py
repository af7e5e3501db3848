"""The teacher's outputs for every training image, computed once: with augmentation off they never change."""

import math

import torch
from torch import Tensor

from lib.images.batches import Batches
from lib.training.objective import Recall
from lib.training.taps import Outputs, Tapped

BATCH = 250
GIB = 2**30


def remember(teacher: Tapped, train: Batches, precision: torch.autocast, gib: float) -> Recall:
    """A function of images and their places in the training split, (B,), to the teacher's outputs there, held on the data's
    device; without places they are computed.

    They are computed in order and in mini-batches of BATCH, so a resumed training remembers the same bits. gib: how much may
    be held. Raises ValueError when it is not enough, with what is, or when images are augmented.
    """
    if train.augmentation.changes:
        msg = "distill.cache_gib: outputs can be kept only for images that stay the same; set it to null or augmentation off"
        raise ValueError(msg)
    kept: list[Tensor] = []
    names: list[str] = []
    start = 0
    with torch.no_grad(), precision:
        for images, _ in train.plain(train.at_once(BATCH)):
            seen = teacher(images)
            found = {"": seen.logits, **seen.features}
            if not kept:
                names = list(found)
                kept = _room(list(found.values()), len(train), gib)
            for store, value in zip(kept, found.values(), strict=True):
                store[start : start + len(images)] = value
            start += len(images)
    memory = dict(zip(names, kept, strict=True))
    logits = memory.pop("")

    def recall(images: Tensor, places: Tensor | None) -> Outputs:
        if places is None:
            return teacher(images)
        places = places.to(logits.device)
        return Outputs(logits[places], {name: values[places] for name, values in memory.items()})

    return recall


def _room(examples: list[Tensor], images: int, gib: float) -> list[Tensor]:
    needed = images * sum(math.prod(example.shape[1:]) * example.element_size() for example in examples) / GIB
    if needed > gib:
        msg = f"distill.cache_gib: the teacher's outputs for {images} images need {needed:.2f} GiB, allowed are {gib}; "
        msg += "allow more, set it to null, or take terms that look at less"
        raise ValueError(msg)
    return [example.new_empty(images, *example.shape[1:]) for example in examples]
