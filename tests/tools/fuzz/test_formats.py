"""A few hundred damaged packed networks and checkpoints; `python -m tools.fuzz --cases N` makes more."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fuzzing import checkpoints, containers


@pytest.mark.parametrize(("kind", "cases"), [(containers, 200), (checkpoints, 200)], ids=["containers", "checkpoints"])
def test_damage_is_refused_or_harmless(kind: Any, cases: int, tmp_path: Path) -> None:
    outcomes = list(kind.run(0, cases, tmp_path))
    assert [outcome.failure for outcome in outcomes if outcome.failure] == []
    words = Counter(outcome.word for outcome in outcomes)
    assert words.total() == cases
    assert words["refused"] > 0.75 * cases
    assert words["accepted"] > 0.02 * cases  # else the damage under a right checksum hits nothing
