"""What networks see: each setting against a plain computation."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lib.images.augmentation import STILL, Jitter, ResizedCrop
from lib.images.resizing import squared
from lib.images.views import Draw, Frame, Views, middle
from lib.params.section import ParamsError, read
from lib.randomness import stream


def _coordinates(height: int, width: int) -> Tensor:
    """(3, H, W): the row, the column and 7 of each pixel."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns, torch.full_like(rows, 7)]).to(torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(8, 13), (13, 8), (8, 8)])
def test_the_middle_of_an_image_that_fits_is_a_slice(height: int, width: int) -> None:
    image = _coordinates(height, width)
    top, left = round((height - 5) / 2), round((width - 5) / 2)
    assert torch.equal(middle(image, 5, 8), image[:, top : top + 5, left : left + 5])


def test_the_shorter_side_is_scaled_first() -> None:
    image = torch.randint(0, 256, (3, 40, 60), generator=stream(0, "image"), dtype=torch.uint8)
    found = Views(Frame(20, None), STILL).still(image)
    assert (found.int() - squared(image, 20).int()).abs().max() <= 1  # rounding: weights of 8 bits
    assert Views(Frame(20, 24), STILL).still(image).shape == (3, 20, 20)


def test_an_uncut_image_is_the_view() -> None:
    image = _coordinates(4, 6)
    assert torch.equal(Views(Frame(None, None), STILL).still(image), image)


def test_padding_and_mirror_move_pixels() -> None:
    image = _coordinates(4, 6) + 1
    views = Views(Frame(None, None), replace(STILL, crop_padding=2))
    moved = views.drawn(image, Draw(1, 3, 0, 0))  # one row lower, one column to the left
    assert torch.equal(moved[:, 1:, :5], image[:, :3, 1:])
    assert not moved[:, 0].any()
    assert not moved[:, :, 5].any()
    assert torch.equal(views.drawn(image, Draw(2, 2, 1, 0)), image.flip(2))


def test_a_mirrored_crop_is_the_middle_mirrored() -> None:
    image = _coordinates(9, 9)
    views = Views(Frame(5, 9), STILL)
    assert torch.equal(views.drawn(image, Draw(0, 0, 1, 0)), image[:, 2:7, 2:7].flip(2))


def _resized(scale: tuple[float, float], ratio: tuple[float, float], seed: int, side: int = 10) -> Tensor:
    views = Views(Frame(side, None), replace(STILL, resized_crop=ResizedCrop(scale, ratio)))
    return views.drawn(_coordinates(60, 80), Draw(0, 0, 0, seed))


def test_a_resized_crop_is_as_large_and_as_wide_as_the_settings_say() -> None:
    """Pixels hold their coordinates, so a crop shows its place and extent."""
    areas, ratios, corners = [], [], []
    for seed in range(200):
        rows, columns, _ = _resized((0.25, 0.64), (0.5, 2.0), seed).int()
        height, width = ((part.max() - part.min()).item() * 10 / 9 for part in (rows, columns))
        areas.append(height * width / (60 * 80))
        ratios.append(width / height)
        corners.append((rows.min().item(), columns.min().item()))
        assert (rows.diff(dim=0) >= 0).all()
        assert (columns.diff(dim=1) >= 0).all()
    assert 0.2 < min(areas) < 0.3
    assert 0.58 < max(areas) < 0.7
    assert 0.45 < min(ratios) < 0.6
    assert 1.7 < max(ratios) < 2.2
    assert len(set(corners)) > 150


def test_a_resized_crop_of_everything_is_the_image_scaled() -> None:
    whole = _resized((1.0, 1.0), (80 / 60, 80 / 60), 0, side=60)
    assert torch.equal(whole[0], _coordinates(60, 60)[0])


def test_the_seed_alone_decides() -> None:
    assert torch.equal(_resized((0.1, 1.0), (0.5, 2.0), 3), _resized((0.1, 1.0), (0.5, 2.0), 3))
    assert not torch.equal(_resized((0.1, 1.0), (0.5, 2.0), 3), _resized((0.1, 1.0), (0.5, 2.0), 4))


def _jittered(jitter: Jitter, image: Tensor) -> list[Tensor]:
    views = Views(Frame(None, None), replace(STILL, jitter=jitter))
    return [views.drawn(image, Draw(0, 0, 0, seed)) for seed in range(200)]


def test_brightness_is_a_factor_from_one_minus_to_one_plus() -> None:
    found = [image.unique().tolist() for image in _jittered(Jitter(0.4, 0.0, 0.0, 0.0), torch.full((3, 2, 2), 100).byte())]
    values = [value for (value,) in found]
    assert 60 <= min(values) < 65
    assert 135 < max(values) <= 140


def test_contrast_draws_towards_or_from_the_mean() -> None:
    image = torch.tensor([50, 150], dtype=torch.uint8).expand(3, 1, 2)
    for low, high in (view[0, 0].tolist() for view in _jittered(Jitter(0.0, 0.5, 0.0, 0.0), image)):
        assert abs((low + high) / 2 - 100) <= 1
        assert 49 <= high - low <= 151


def test_saturation_and_hue_leave_grey_alone_and_change_colours() -> None:
    grey, red = torch.full((3, 2, 2), 90).byte(), torch.tensor([200, 10, 10]).byte().view(3, 1, 1).expand(3, 2, 2)
    for jitter in (Jitter(0.0, 0.0, 0.5, 0.0), Jitter(0.0, 0.0, 0.0, 0.3)):
        assert all((view.int() - grey.int()).abs().max() <= 1 for view in _jittered(jitter, grey))
        assert len({tuple(view[:, 0, 0].tolist()) for view in _jittered(jitter, red)}) > 50


@pytest.mark.parametrize(("name", "value"), [("scale", [1.0, 0.5]), ("ratio", [2.0, 1.0])])
def test_a_range_begins_with_the_smaller_number(name: str, value: list[float]) -> None:
    given = {"scale": [0.08, 1.0], "ratio": [0.75, 1.3333]} | {name: value}
    with pytest.raises(ParamsError, match=f"{name} is .*, whose first number is the larger one; exchange them"):
        read({"augmentation": given}, "augmentation", ResizedCrop)
