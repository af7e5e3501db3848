"""Work by one process or several: the same results in the same order, and what is said of a process that ends."""

import os
import signal
from typing import Any

import pytest
import torch

from lib.images.loading import _loader, made


class Threads:
    """Tells how many threads torch has where the work is done."""

    def __getitem__(self, thing: int) -> tuple[int, int]:
        return thing, torch.get_num_threads()


class Fatal:
    """Ends its process at one of the things, or raises an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __getitem__(self, thing: int) -> int:
        if thing == 3:
            if self.error is not None:
                raise self.error
            os.kill(os.getpid(), signal.SIGKILL)
        return thing


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_from_one_thread(workers: int) -> None:
    """A sum over all pixels, as changes of contrast need, is another one where threads share it."""
    torch.set_num_threads(2)
    try:
        assert list(made(Threads(), range(7), workers)) == [(thing, 1) for thing in range(7)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_of_nothing_nothing_is_made(workers: int) -> None:
    assert list(made(Threads(), [], workers)) == []


def test_a_process_that_is_killed_is_told_with_the_cure() -> None:
    said = r"a process that reads images has ended \(.*: most likely memory .*set running.workers lower"
    with pytest.raises(ValueError, match=said):
        list(made(Fatal(), range(9), 2))


@pytest.mark.parametrize("error", [RuntimeError("an own fault"), KeyError("another")])
def test_a_fault_of_the_code_stays_what_it_is(error: Any) -> None:
    with pytest.raises(type(error), match=error.args[0]):
        list(made(Fatal(error), range(9), 1))


def test_a_process_whose_parent_was_killed_before_it_began_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, ended = _loader(Threads(), [0], 1, pin=False).worker_init_fn, []
    assert begin is not None
    monkeypatch.setattr(os, "_exit", ended.append)
    for parent, seen in ((os.getpid(), []), (1, [1])):
        monkeypatch.setattr(os, "getppid", lambda parent=parent: parent)
        begin(0)
        assert ended == seen
