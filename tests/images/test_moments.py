"""Mean and standard deviation of the pixels of a data set."""

import pytest
import torch

from lib.images.moments import moments


def test_moments_of_parts_add_up_to_those_of_all() -> None:
    pixels = torch.randint(0, 256, (3, 1000), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mean, std = (moments(pixels[:, :300]) + moments(pixels[:, 300:])).normalisation()
    assert mean == pytest.approx((pixels / 255.0).mean(1).tolist(), abs=1e-4)
    assert std == pytest.approx((pixels / 255.0).std(1).tolist(), abs=1e-3)


@pytest.mark.parametrize("odd", [0, 1, 3])
def test_a_channel_that_hardly_varies_is_refused(odd: int) -> None:
    """Its standard deviation rounds to 0, and every image divided by it would be infinite."""
    pixels = torch.randint(0, 256, (3, 100_000), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels[2] = 7
    pixels[2, 0] += odd
    with pytest.raises(ValueError, match="a colour channel hardly differs from pixel to pixel"):
        moments(pixels).normalisation()
