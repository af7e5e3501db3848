"""Squares of one size: the middle of the image, scaled."""

import pytest
import torch

from lib.images import resizing
from lib.images.resizing import squared
from lib.images.views import middle


@pytest.mark.parametrize("size", [(8, 8), (8, 20), (20, 8), (4, 4), (5, 9)])
@pytest.mark.parametrize("side", [4, 8, 11])
def test_every_image_becomes_a_square_and_one_colour_stays(size: tuple[int, int], side: int) -> None:
    image = torch.full((3, *size), 77, dtype=torch.uint8)
    assert torch.equal(squared(image, side), torch.full((3, side, side), 77, dtype=torch.uint8))


def test_an_image_that_fits_is_left_alone() -> None:
    image = torch.arange(48, dtype=torch.uint8).view(3, 4, 4)
    assert squared(image, 4) is image


def test_the_middle_is_cut_out_and_shrinking_averages() -> None:
    image = torch.zeros(1, 4, 12, dtype=torch.uint8)
    image[:, :, 4:8] = 200
    image[:, ::2, 4:8] = 100
    assert squared(image, 4)[0, :, 1:3].unique().tolist() == [100, 200]
    assert squared(image[:, :, 4:8], 2).float().sub(150).abs().max() < 16  # the kernel reaches a little beyond two pixels


@pytest.mark.parametrize("shape", [(20_000, 1), (1, 20_000)])
def test_a_line_of_pixels_takes_no_memory_for_what_is_cut_away(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled whole, it would have 224 times 4,480,000 pixels."""
    scaled = []
    original = resizing.functional.interpolate

    def noted(image: torch.Tensor, size: tuple[int, int], **options: object) -> torch.Tensor:
        scaled.append(size[0] * size[1])
        return original(image, size, **options)

    monkeypatch.setattr(resizing.functional, "interpolate", noted)
    image = torch.arange(20_000).remainder(256).to(torch.uint8).view(1, *shape)
    line = image.flatten()[9968:10032]  # 64 in the middle, each of which becomes 224 pixels
    for seen in (squared(image, 224), middle(image, 224, 224)):
        assert seen.shape == (1, 224, 224)
        assert int(line[31]) - 1 <= seen.float().mean() <= int(line[32]) + 1
    assert max(scaled) == 64 * 224 * 224
