"""Images that cannot be read: refused by name, or left out and counted."""

from collections.abc import Sequence

from torch import Tensor

from lib.images.quoting import listed, quoted

FIRST, LENGTH = 3, 400  # that are told with their reasons, in so many characters each


class Unreadable:
    """Those that were met."""

    def __init__(self, *, skip: bool) -> None:
        self.skip = skip
        self.count = 0
        self._first: list[str] = []

    def meet(self, reason: str) -> None:
        """Leave an image out. Raises ValueError with the reason, which names it, where none may be."""
        if not self.skip:
            msg = f"{reason}, or set data.unreadable to skip"
            raise ValueError(msg)
        self.count += 1
        self._first = [*self._first, reason][:FIRST]

    def remarks(self) -> tuple[str, ...]:
        """What the user should be told."""
        if not self.count:
            return ()
        first = "; ".join(quoted(one, LENGTH) for one in self._first)
        more = "" if self.count <= FIRST else f"; and {self.count - FIRST:,} more"
        return (f"images that cannot be read and are left out: {self.count:,} ({first}{more})",)


def check_left(split: str, labels: Tensor, classes: Sequence[str]) -> None:
    """Raise ValueError unless every class has an image left."""
    there = set(labels.unique().tolist())
    if lost := [name for label, name in enumerate(classes) if label not in there]:
        msg = f"no image of {split} can be read in the classes {listed(lost)}; mend them, or remove the classes"
        raise ValueError(msg)
