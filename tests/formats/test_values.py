"""Values that no network may have are refused by the tensor's name."""

from typing import Any

import pytest
import torch

from lib.formats.values import check

DIVERGED = "a.weight holds NaN or infinite values; its training diverged"


def test_what_networks_have_is_accepted() -> None:
    big = torch.finfo(torch.float32).max
    check({
        "a.weight": torch.tensor([big, -big, -0.0, 1e-45]),
        "a.running_var": torch.tensor([0.0, big]),
        "a.running_mean": torch.tensor([-1.0]),
        "a.num_batches_tracked": torch.tensor(0),
        "sparsity/a": torch.tensor([[True], [False]]),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("a.weight", [1.0, float("nan")], DIVERGED),
        ("a.weight", [float("inf"), 1.0], DIVERGED),
        ("a.weight", [-float("inf"), 1.0], DIVERGED),
        ("a.weight", [float("nan"), float("inf")], DIVERGED),
        ("a.running_var", [1.0, -0.5], r"a\.running_var must not be negative, got -0\.5"),
        ("a.num_batches_tracked", -1, r"a\.num_batches_tracked must not be negative, got -1"),
        ("a.weight", [1.0 + 1.0j], r"files hold float32, int64 and bool alone, got a\.weight \(torch\.complex64\)"),
    ],
)
def test_what_no_network_has_is_refused(name: str, values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check({"b.weight": torch.ones(2), name: torch.tensor(values)})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int32])
def test_other_types_are_refused(kind: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"got a \({kind}\); build the network so, or convert it with \.float\(\)"):
        check({"a": torch.ones(2, dtype=kind)})


def test_a_bool_that_is_neither_is_refused() -> None:
    mask = torch.ones(4, dtype=torch.bool)
    mask.view(torch.uint8)[2] = 2
    with pytest.raises(ValueError, match="sparsity/a must hold zeros and ones, got 2"):
        check({"sparsity/a": mask})
