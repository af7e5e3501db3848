"""However a block is written, its filters may go, and what is left computes the same."""

from pathlib import Path

import pytest
import torch

from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, gap, gap_in_double
from lib.compaction.shipping import ship
from lib.formats.checkpoint import Checkpoint, load, save
from lib.masks.kept import Kept, apply_
from tests.networks_for_tests import images, random_masks
from tests.odd_networks import network
from tests.written_otherwise import NAME, WAYS, WHOLE


@pytest.mark.parametrize("way", WAYS)
def test_filters_go_and_the_function_stays(tmp_path: Path, way: str) -> None:
    own = network(NAME, way=way)
    assert set(own.filters()) >= {"conv1", "conv2", "conv3"}
    kept = Kept(random_masks(own, 3))
    apply_(own, kept)
    batch = images(own, 4)
    for mode in ("coupled", "scatter"):
        small = compact(own, kept, mode).eval()
        assert small.weight("conv2").numel() < own.weight("conv2").numel()
        save(tmp_path / "a.safetensors", Checkpoint(small, None, (3, 8, 8), (0.5,) * 3, (0.25,) * 3))
        again = load(tmp_path / "a.safetensors").network.eval()
        with torch.no_grad():
            assert gap(small(batch), own(batch)).relative < 1e-5
            assert torch.equal(again(batch), small(batch))
            assert gap(ship(small, 8)(batch), own(batch)).relative < 1e-5


@pytest.mark.parametrize("way", WHOLE)
def test_what_mixes_channels_is_computed_whole(way: str) -> None:
    own = network(NAME, way=way)
    assert "conv2" in own.description.locked
    assert "conv3" in own.filters()
    kept = Kept(random_masks(own, 3))
    apply_(own, kept)
    assert gap_in_double(own, compact(own, kept, "coupled"), images(own, 4)).relative < FLOAT64_LIMIT
