"""Work on many things, one after the other or by several processes at once: the same results in the same order."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader

KILLED = "DataLoader worker (pid"  # begins what torch says of a process that has ended


class Work(Protocol):
    """What makes something of each thing; in another process it starts as a copy."""

    def __getitem__(self, thing: Any) -> Any:
        """What it makes of one. What goes wrong comes back as a value."""


def made(work: Work, things: Sequence[Any], workers: int, *, pin: bool = False) -> Iterator[Any]:
    """What is made of each thing, in order. workers: processes, 0 for this one alone; in each of them torch has one thread,
    so that no bit depends on their number. pin: into memory that a GPU reads at once. Raises ValueError where a process ended.
    """
    if not (workers and things):
        yield from _alone(work, things)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of more processes than cores: the user's choice
        iterator = iter(_loader(work, things, workers, pin=pin))
    while True:
        try:
            result = next(iterator)
        except StopIteration:
            return
        except RuntimeError as error:
            if KILLED not in str(error):
                raise
            msg = f"a process that reads images has ended ({str(error).splitlines()[0]}): most likely memory or shared memory "
            msg += "(/dev/shm) ran out; set running.workers lower, or make mini-batches smaller"
            raise ValueError(msg) from error
        yield result


def _alone(work: Work, things: Sequence[Any]) -> Iterator[Any]:
    for thing in things:
        with _one_thread():
            result = work[thing]
        yield result


def _loader(work: Work, things: Sequence[Any], workers: int, *, pin: bool) -> "DataLoader[Any]":
    own = torch.Generator()  # else it would draw from the global stream, which belongs to dropout
    return DataLoader(
        work,  # type: ignore[arg-type]  # needs no more than __getitem__
        batch_size=None,
        sampler=things,
        num_workers=min(workers, len(things)),
        collate_fn=_as_it_is,
        worker_init_fn=partial(_end_without, os.getpid()),
        pin_memory=pin,
        generator=own,
    )


def _end_without(parent: int, _: int) -> None:
    """End this process where its parent is gone. torch looks for another parent later on, and sees none where it was another
    one from the start: the process would stay for ever, and hold the lock of the training.
    """
    if os.getppid() != parent:
        os._exit(1)


def _as_it_is(result: Any) -> Any:
    return result


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
