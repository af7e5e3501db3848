import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.batches import Augmentation, Batches

MEAN, STD = (0.4, 0.5), (0.2, 0.3)
CPU = torch.device("cpu")


def coded(count: int = 12, height: int = 5, width: int = 6) -> Tensor:
    """Images whose every pixel is different, so that any move shows."""
    pixels = torch.arange(count * 2 * height * width) % 251
    return pixels.reshape(count, 2, height, width).to(torch.uint8)


def batches(flip: bool, padding: int) -> Batches:
    return Batches(coded(), torch.arange(12), MEAN, STD, Augmentation(flip, padding), CPU)


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def variants(image: Tensor, flip: bool, padding: int) -> list[Tensor]:
    """Every crop and mirror image of one image (C, H, W), made one by one."""
    padded = functional.pad(image, (padding,) * 4)
    height, width = image.shape[1:]
    crops = [padded[:, y : y + height, x : x + width] for y in range(2 * padding + 1) for x in range(2 * padding + 1)]
    return crops + ([crop.flip(2) for crop in crops] if flip else [])


@pytest.mark.parametrize(("flip", "padding"), [(False, 0), (True, 0), (False, 2), (True, 2)])
def test_augmented_images_are_crops_and_mirror_images_of_their_own(flip: bool, padding: int) -> None:
    found = set()
    for seed in range(20):
        for images, labels in batches(flip, padding).epoch([5, 7], torch.Generator().manual_seed(seed)):
            for image, label in zip(images, labels, strict=True):
                options = [normalised(option) for option in variants(coded()[label], flip, padding)]
                matches = [index for index, option in enumerate(options) if torch.allclose(option, image, atol=1e-5)]
                assert matches
                found.add(matches[0])
    assert len(found) > len(options) * 0.8  # nearly all of the possible ones were drawn


def test_an_epoch_holds_every_image_once_in_batches_of_the_sizes_asked_for() -> None:
    epoch = list(batches(flip=True, padding=1).epoch([4, 1, 7], torch.Generator().manual_seed(0)))
    assert [len(labels) for _, labels in epoch] == [4, 1, 7]
    assert sorted(torch.cat([labels for _, labels in epoch]).tolist()) == list(range(12))


def test_sizes_that_leave_samples_out_give_fewer_images() -> None:
    epoch = list(batches(flip=False, padding=0).epoch([5, 5], torch.Generator().manual_seed(0)))
    assert len(torch.cat([labels for _, labels in epoch]).unique()) == 10


def test_same_generator_gives_the_same_bits_and_another_does_not() -> None:
    runs = [
        torch.cat([images for images, _ in batches(flip=True, padding=2).epoch([12], torch.Generator().manual_seed(seed))])
        for seed in (3, 3, 4)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("size", [5, 12, 100])
def test_plain_batches_are_the_images_in_order(size: int) -> None:
    pairs = list(batches(flip=True, padding=2).plain(size))
    torch.testing.assert_close(torch.cat([images for images, _ in pairs]), normalised(coded()), atol=1e-5, rtol=1e-5)
    assert torch.cat([labels for _, labels in pairs]).tolist() == list(range(12))
    assert all(len(labels) <= size for _, labels in pairs)
