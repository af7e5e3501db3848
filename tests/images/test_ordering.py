"""The order of images follows from the images alone, and so does the digest of a data set."""

import pytest
import torch

from lib.images.ordering import digest, ordered


def _made(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (20, 3, 4, 4), generator=generator).to(torch.uint8)
    return images, torch.randint(0, 3, (20,), generator=generator)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_and_the_digest_do_not_depend_on_the_order_before(seed: int) -> None:
    images, labels = _made(seed)
    shuffle = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    one, other = ordered((images, labels)), ordered((images[shuffle], labels[shuffle]))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[1].tolist() == sorted(labels.tolist())
    assert digest({"train": (images, labels)}) == digest({"train": other})


def test_the_digest_sees_pixels_labels_and_splits() -> None:
    images, labels = _made(0)
    changed = images.clone()
    changed[3, 0, 0, 0] ^= 1
    swapped = torch.where(labels == 0, 1, torch.where(labels == 1, 0, labels))
    alike = [
        {"train": (images, labels)},
        {"train": (changed, labels)},
        {"train": (images, swapped)},
        {"test": (images, labels)},
    ]
    assert len({digest(splits) for splits in alike}) == 4


def test_each_image_keeps_its_label() -> None:
    images, labels = _made(1)
    pairs = {(image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    assert {(image.numpy().tobytes(), int(label)) for image, label in zip(*ordered((images, labels)), strict=True)} == pairs
