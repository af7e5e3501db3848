"""Scores and choices of SFP, FPGM and NGGM on given weights are those their reference code recorded."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lib.pruning.masks import Rounding, kept_count, top_k
from lib.pruning.scores import distance_sums, gradient_median, norm
from tests import goldens

DTYPES = {torch.float32: 1e-5, torch.float64: 1e-7}  # tolerance relative to the largest magnitude
LAYERS = ("w8", "w16")
SFP, FPGM, NGGM = (goldens.read(case) for case in ("sfp", "fpgm", "nggm"))

either_type = pytest.mark.parametrize(("dtype", "tolerance"), DTYPES.items())
either_layer = pytest.mark.parametrize("layer", LAYERS)


def _tensor(values: Any, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype)


def _kept(scores: Tensor, keep_ratio: float, rounding: Rounding) -> list[int]:
    return _indices(top_k(scores, kept_count(len(scores), keep_ratio, rounding)))


def _indices(mask: Tensor) -> list[int]:
    indices: list[int] = mask.nonzero().flatten().tolist()
    return indices


@either_layer
@either_type
def test_norms_and_choices_of_soft_filter_pruning(layer: str, dtype: torch.dtype, tolerance: float) -> None:
    recorded = SFP["outputs"][layer]
    scores = norm(_tensor(SFP["inputs"][layer], dtype), 2)
    assert goldens.relative_error(scores, _tensor(recorded["l2_norms"], dtype)) < tolerance
    for selection in recorded["selections"]:
        assert _kept(scores, selection["rate_keep"], "pruned") == selection["kept"]
    assert len({len(selection["kept"]) for selection in recorded["selections"]}) == 5


@either_layer
@either_type
def test_distances_and_choices_of_both_stages_of_fpgm(layer: str, dtype: torch.dtype, tolerance: float) -> None:
    weight = _tensor(FPGM["inputs"][layer], dtype)
    for recorded in FPGM["outputs"][layer]:
        stays = recorded["rate_norm_keep"]
        among = top_k(norm(weight, 2), kept_count(len(weight), stays, "pruned"))
        assert _indices(among) == recorded["candidates"]
        sums = distance_sums(weight, among, "euclidean", squared=False)
        assert goldens.relative_error(sums[among], _tensor(recorded["distance_sums"], dtype)) < tolerance
        left = sums.masked_fill(~among, -torch.inf)
        dropped = len(weight) - kept_count(len(weight), 1 - recorded["rate_dist_prune"], "pruned")
        assert _indices(top_k(left, int(among.sum()) - dropped)) == recorded["kept"]


@either_layer
@either_type
def test_scores_and_choices_of_nggm(layer: str, dtype: torch.dtype, tolerance: float) -> None:
    recorded = NGGM["outputs"][layer]
    weight, gradient = (_tensor(NGGM["inputs"][kind][layer], dtype) for kind in ("weights", "grads"))
    everyone = torch.ones(len(weight), dtype=torch.bool)
    squares = distance_sums(weight, everyone, "euclidean", squared=True)
    assert goldens.relative_error(squares, _tensor(recorded["squared_distance_sums"], dtype)) < tolerance
    assert goldens.relative_error(norm(gradient, 1), _tensor(recorded["gradient_l1"], dtype)) < tolerance
    for case in recorded["nggm"]:
        scores = gradient_median(weight, gradient, case["gamma"], squared=True)
        assert goldens.relative_error(scores, _tensor(case["scores"], dtype)) < 10 * tolerance  # scaled to [0, 1]
        for selection in case["selections"]:
            assert _kept(scores, selection["rate_keep"], "nearest") == selection["kept"]
