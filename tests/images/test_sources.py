"""What each source gives."""

from pathlib import Path

import torch

from lib.images import sources
from lib.images.settings import DataSettings
from lib.params.section import read
from tests import tiny


def test_digits_have_one_test_split_whatever_the_split_seed(tmp_path: Path) -> None:
    settings = (read(tiny.document(data__split_seed=seed), "data", DataSettings) for seed in (0, 1))
    first, other = (sources._digits(one, tmp_path, tiny.unwatched).splits["test"] for one in settings)
    assert torch.equal(first[0], other[0])
    assert torch.equal(first[1], other[1])
    assert len(first[1]) == 359
