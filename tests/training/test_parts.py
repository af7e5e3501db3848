"""A training that goes on in the middle of an epoch ends in the same bits: with every method and every kind of state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.networks.network import Network
from lib.steps.train_teacher import teach
from lib.training.hooks import Hooks
from lib.training.loop import Fit, fit
from lib.training.resume import Unfinished
from lib.training.run import Setting
from tests import tiny
from tests.pruning.test_every_method import NAMES, make
from tests.training.test_loop import Bar, _task, folder, here  # noqa: F401 (fixtures)

AFTER = (2, 5, 11)  # of 15 steps, three epochs of five


class Stop(Bar):
    """Ends the training as Ctrl-C does, after so many steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def update(self, n: float = 1) -> None:
        self.after -= int(n)
        if self.after < 0:
            raise KeyboardInterrupt


def _undisturbed_and_resumed(task: Callable[[], Fit], own: Path, after: int) -> tuple[Any, Any]:
    """Rows and weights of a training left alone, and of one that was stopped and went on."""
    alone, stopped, resumed = task(), task(), task()
    rows = fit(alone, Unfinished(own / "alone"), lambda *_: Bar())
    place = Unfinished(own / "stopped")
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, place, lambda *_: Stop(after))
    saved = place.load()
    assert saved is not None
    assert saved["part"]["steps"] == after % 5 + 1  # it was stopped as it told of the step behind that
    again = fit(resumed, place, lambda *_: Bar())
    return (rows, alone.network.state_dict()), (again, resumed.network.state_dict())


@pytest.mark.grid
@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("name", NAMES)
def test_every_method_goes_on_from_any_step(
    here: Setting,  # noqa: F811
    tmp_path: Path,
    name: str,
    after: int,
) -> None:
    def method(network: Network) -> Hooks:
        return make(name, network, 0.5)

    def task() -> Fit:
        made = _task(here, 50, method, epochs=3, lr=0.01)
        return Fit(**{**vars(made), "resume_every": 1})

    (rows, weights), (again, restored) = _undisturbed_and_resumed(task, tmp_path, after)
    assert again == rows
    assert all(torch.equal(restored[key], weights[key]) for key in weights)


def test_states_within_an_epoch_change_no_bit(tmp_path: Path) -> None:
    tiny.digits(tmp_path)
    found = []
    for every in (None, 2):
        document = tiny.document(running__resume_every=every)
        own = tmp_path / str(every)
        teach(document, "resnet8", tiny.here(document, tmp_path), tmp_path, own / "out.safetensors", own / "out.csv")
        found.append([(own / name).read_bytes() for name in ("out.safetensors", "out.csv")])
    assert found[0] == found[1]


def test_float16_scales_the_loss_and_goes_on_with_the_scale(here: Setting, tmp_path: Path) -> None:  # noqa: F811
    def task() -> Fit:
        made = _task(here, 50, lambda _: Hooks(), epochs=3, lr=0.01)
        half = {"precision": "float16"}
        compute = type(made.compute)(**{**vars(made.compute), **half})
        return Fit(**{**vars(made), "resume_every": 1, "compute": compute})

    (rows, weights), (again, restored) = _undisturbed_and_resumed(task, tmp_path, 7)
    assert again == rows
    assert all(torch.equal(restored[key], weights[key]) for key in weights)
    assert rows[-1]["loss"] < rows[0]["loss"]
    saved = Unfinished(tmp_path / "stopped").load()
    assert saved is not None
    assert saved["scaler"]["scale"] > 1.0
