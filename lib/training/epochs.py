"""The mini-batches of a whole training: listed an epoch at a time, counted, and checked against the number of images."""

from bisect import bisect_left
from collections.abc import Iterator

from lib.training.schedules import Constant, Geometric, Linear, size_at


def epoch_sizes(schedule: Constant | Linear | Geometric, samples: int, step: int) -> list[int]:
    """The exact sizes of the mini-batches of an epoch that begins at `step` of the whole training.

    The samples left over at the end are a smaller last batch (keep), left out (drop), or a batch of their own unless they
    are a single one, which joins the batch before it (merge): batch norm cannot train on one sample.
    """
    first = 0 if _restarts(schedule) else step
    sizes: list[int] = []
    left = samples
    while left >= (size := size_at(schedule, first + len(sizes))):
        sizes.append(size)
        left -= size
    if left and schedule.last == "merge" and left == 1 and sizes:
        sizes[-1] += left
    elif left and schedule.last != "drop":
        sizes.append(left)
    return sizes


def runs(schedule: Constant | Linear | Geometric, samples: int, epochs: int) -> Iterator[tuple[list[int], int]]:
    """The sizes of the mini-batches of all epochs: (sizes of an epoch, how many epochs in a row have them).

    An epoch in which sizes grow is listed by itself; epochs that are alike are one run, however many.
    """
    step, epoch = 0, 0
    while epoch < epochs:
        sizes = epoch_sizes(schedule, samples, step)
        same = _alike(schedule, samples, step, len(sizes), epochs - epoch)
        yield sizes, same
        step, epoch = step + len(sizes) * same, epoch + same


def count_steps(schedule: Constant | Linear | Geometric, samples: int, epochs: int) -> int:
    """The number of mini-batches of the first `epochs` epochs."""
    return sum(len(sizes) * same for sizes, same in runs(schedule, samples, epochs))


def problems_of_sizes(
    schedule: Constant | Linear | Geometric, samples: int, epochs: int, key: str, processes: int = 1
) -> list[str]:
    """What makes mini-batches of a split of so many samples useless: one line a problem, named by `key`.

    An epoch without any; a mini-batch of a single image: batch norm has nothing to normalise it by; one of fewer images than
    there are processes.
    """
    epoch = 0
    for sizes, same in runs(schedule, samples, epochs):
        if not sizes:
            return [
                f"{key}: epoch {epoch + 1} has no mini-batch: the training split has {samples} images, `last: drop` leaves "
                "out a mini-batch that they do not fill; make it smaller or set `last` to merge"
            ]
        if 1 in sizes:
            return [
                f"{key}: mini-batch {sizes.index(1) + 1} of epoch {epoch + 1} has one image, and batch norm cannot train on "
                f"one (the training split has {samples}); use sizes of 2 or more, and set `last` to merge or drop"
            ]
        if min(sizes) < processes:
            place = f"mini-batch {sizes.index(min(sizes)) + 1} of epoch {epoch + 1}"
            return [
                f"{key}: {place} has {min(sizes)} images for {processes} processes; use larger ones or fewer "
                "processes (compute.processes), and set `last` to merge or drop"
            ]
        epoch += same
    return []


def _restarts(schedule: Constant | Linear | Geometric) -> bool:
    return isinstance(schedule, Constant) or schedule.kind == "linear-reset"


def _alike(schedule: Constant | Linear | Geometric, samples: int, step: int, length: int, epochs: int) -> int:
    """How many of `epochs` epochs, the first of `length` mini-batches from `step` on, have the sizes of the first."""
    if _restarts(schedule) or length == 0:
        return epochs

    def size(at: int) -> int:
        return min(size_at(schedule, at), samples + 1)  # above the number of samples all sizes do the same

    def grown(count: int) -> bool:
        return size(step + count * length - 1) > size(step)

    return max(1, bisect_left(range(1, epochs + 1), True, key=grown))
