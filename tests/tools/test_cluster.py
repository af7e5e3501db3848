"""`python -m tools.cluster` before it meets a cluster: what a cell asks for, and settings that do not go together."""

from typing import Any

import pytest

from lib.graph.driver import asked
from lib.params.section import read
from lib.training.device import Compute
from tests import tiny


def compute(**changes: Any) -> dict[str, Any]:
    """The section of a parameter file, checked."""
    return vars(read(tiny.document(**changes), "compute", Compute))


def test_a_cell_asks_for_the_cores_that_its_training_uses() -> None:
    several = compute(compute__threads=3, compute__processes=2)
    assert asked(several, None, 0.0) == {"num_cpus": 6, "num_gpus": 0.0}
    assert asked(several, 0.5, 0.25) == {"num_cpus": 0.5, "num_gpus": 0.25}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compute__device": "cuda"}, "compute.device is cuda and the cells get no GPU; say how much of one"),
        (
            {"compute__rendezvous": {"endpoint": "a:1", "nodes": 2, "id": "x"}, "compute__processes": 2},
            "this command spreads cells; set it to null",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        asked(compute(**changes), None, 0.0)
