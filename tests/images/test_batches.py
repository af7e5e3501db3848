"""Batches only move pixels, and normalise them: compared with every crop of every image, made one by one."""

import pytest
import torch
from torch import Tensor

from lib.images.augmentation import Augmentation, Flip
from lib.images.batches import Batches
from lib.randomness import stream

CPU = torch.device("cpu")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
COUNT, HEIGHT, WIDTH = 40, 6, 5


def _images() -> Tensor:
    return torch.randint(0, 256, (COUNT, 3, HEIGHT, WIDTH), generator=stream(0, "images"), dtype=torch.uint8)


def _batches(images: Tensor, *, flip: Flip = "random", crop_padding: int = 2) -> Batches:
    """The labels are the images' numbers."""
    return Batches(images, torch.arange(len(images)), MEAN, STD, Augmentation(flip, crop_padding, None, None), CPU)


def _pixels(normalised: Tensor) -> Tensor:
    """Undo the normalisation: bytes again."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    pixels = (normalised * std + mean) * 255
    assert torch.allclose(pixels, pixels.round(), atol=1e-2)
    return pixels.round().to(torch.uint8)


def _variants(image: Tensor, padding: int, *, flip: bool) -> Tensor:
    """Every crop of a padded image (C, H, W), then their mirror images, by plain slicing: (variants, C, H, W)."""
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding, dtype=image.dtype)
    padded[:, padding : padding + height, padding : padding + width] = image
    span = range(2 * padding + 1)
    crops = torch.stack([padded[:, top : top + height, left : left + width] for top in span for left in span])
    return torch.cat([crops, crops.flip(3)]) if flip else crops


@pytest.mark.parametrize(("flip", "padding"), [(False, 0), (False, 2), (True, 0), (True, 2)])
def test_every_image_is_a_crop_of_its_own_original_mirrored_or_not(flip: bool, padding: int) -> None:
    originals = _images()
    variants = [_variants(image, padding, flip=flip) for image in originals]
    batches = _batches(originals, flip="random" if flip else "none", crop_padding=padding)
    drawn = torch.zeros(len(variants[0]))
    for epoch in range(25):
        for images, labels in batches.epoch([COUNT], stream(0, "augmentation", epoch)):
            for image, label in zip(_pixels(images), labels.tolist(), strict=True):
                matches = (variants[label] == image).flatten(1).all(1)
                assert matches.sum() == 1
                drawn += matches
    assert drawn.min() > 0  # each of them occurs,
    assert drawn.max() < 5 * drawn.mean()  # and none far more often than the others
    if flip:
        assert 0.4 < drawn[: len(drawn) // 2].sum() / drawn.sum() < 0.6


def test_alternating_flips_show_every_image_both_ways_in_any_two_epochs_that_follow_one_another() -> None:
    batches = _batches(_images(), flip="alternating", crop_padding=0)

    def mirrored(epoch: int) -> Tensor:
        ((places, images, _),) = batches.numbered([COUNT], stream(0, "augmentation", epoch), number=epoch)
        return (_pixels(images) != _images()[places]).flatten(1).any(1)[places.argsort()]

    first, second, third = (mirrored(epoch) for epoch in range(3))
    assert 0.3 < first.float().mean() < 0.7
    assert torch.equal(second, ~first)
    assert torch.equal(third, first)


def test_values_are_normalised_by_channel() -> None:
    images, _ = next(iter(_batches(_images()).plain(COUNT)))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    assert images.dtype == torch.float32
    assert torch.allclose(images, (_images().float() / 255 - mean) / std, atol=1e-5)


def test_zeros_come_in_before_the_normalisation() -> None:
    white = torch.full((COUNT, 3, HEIGHT, WIDTH), 255, dtype=torch.uint8)
    (images, _), *_ = _batches(white, flip="none").epoch([COUNT], stream(0, "augmentation"))
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    assert torch.allclose(images.amin((0, 2, 3)), black, atol=1e-5)


@pytest.mark.parametrize(("size", "lengths"), [(16, [16, 16, 8]), (40, [40]), (100, [40])])
def test_plain_gives_all_images_in_order_without_augmentation(size: int, lengths: list[int]) -> None:
    found = list(_batches(_images()).plain(size))
    assert [len(labels) for _, labels in found] == lengths
    assert torch.equal(torch.cat([labels for _, labels in found]), torch.arange(COUNT))
    assert torch.equal(_pixels(torch.cat([images for images, _ in found])), _images())


def test_epoch_visits_every_image_once_in_batches_of_the_sizes_given() -> None:
    sizes = [4, 8, 12, 15, 1]
    found = list(_batches(_images()).epoch(sizes, stream(0, "augmentation")))
    assert [tuple(images.shape) for images, _ in found] == [(size, 3, HEIGHT, WIDTH) for size in sizes]
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images, _ in found)
    order = torch.cat([labels for _, labels in found]).tolist()
    assert sorted(order) == list(range(COUNT))
    assert order != list(range(COUNT))


def test_sizes_that_leave_images_out_visit_only_so_many() -> None:
    found = list(_batches(_images()).epoch([8, 8], stream(0, "augmentation")))
    labels = torch.cat([labels for _, labels in found])
    assert len(labels) == len(labels.unique()) == 16


def test_same_stream_gives_the_same_bits_and_another_epoch_others() -> None:
    batches = _batches(_images())
    first, again, other = (
        torch.cat([images for images, _ in batches.epoch([16, 24], stream(0, "augmentation", epoch))]) for epoch in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_how_an_epoch_is_split_does_not_change_what_it_shows() -> None:
    batches = _batches(_images())
    one, many = (
        torch.cat([images for images, _ in batches.epoch(sizes, stream(0, "augmentation"))]) for sizes in ([40], [5, 35])
    )
    assert torch.equal(one, many)


def test_images_of_the_caller_are_not_changed() -> None:
    originals = _images()
    list(_batches(originals).epoch([COUNT], stream(0, "augmentation")))
    assert torch.equal(originals, _images())


def test_length_is_the_number_of_images() -> None:
    assert len(_batches(_images())) == COUNT
