"""What the public reference implementations computed (tests/golden/README.md says which), as Python values and tensors."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "golden"


def read(case: str) -> dict[str, Any]:
    """The document of a case: inputs, params, outputs."""
    document: dict[str, Any] = json.loads((FOLDER / f"{case}.json").read_text())
    return document


def tensors(lists: dict[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    """Nested lists by name -> tensors by name."""
    return {name: torch.tensor(values, dtype=dtype) for name, values in lists.items()}


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest magnitude expected; the difference itself where all expected values are zero."""
    scale = float(expected.abs().max())
    return float((got - expected).abs().max()) / (scale or 1.0)
