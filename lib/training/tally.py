"""What an epoch of training adds up to."""

from collections.abc import Mapping

import torch
from torch import Tensor

LogRow = dict[str, float]


class Tally:
    """Sums over an epoch, kept on the device."""

    def __init__(self, sums: Mapping[str, Tensor] | None = None, samples: int = 0) -> None:
        """Goes on from the sums over so many images."""
        self.losses: list[Tensor] = []
        self.sums = dict(sums or {})
        self.samples = samples
        self.begun: Tensor | None = None  # the share that is right of the first mini-batch, before its step

    @torch.no_grad()
    def add(self, total: Tensor, parts: Mapping[str, Tensor], logits: Tensor, labels: Tensor) -> None:
        """Note one step."""
        self.losses.append(total.detach())
        values = {"loss": total, **{f"loss_{name}": value for name, value in parts.items()}}
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach() * len(labels)
        right = (logits.argmax(1) == labels).sum()
        if self.samples == 0:
            self.begun = right / len(labels)
        self.samples += len(labels)
        self.sums["right"] = self.sums.get("right", torch.zeros_like(right)) + right

    def check(self, step: int, rate: float) -> None:
        """Raise ValueError when a loss since the last check was not finite, naming the first such step."""
        if not self.losses:
            return
        finite = torch.stack(self.losses).isfinite().tolist()
        if not all(finite):
            first = step - len(finite) + 1 + finite.index(False)
            msg = (
                f"the loss is {self.losses[finite.index(False)].item()} at step {first}, learning rate {rate:.3g}: "
                "lower `lr`, lengthen the schedule's warm-up, or set compute.precision to float32"
            )
            raise ValueError(msg)
        self.losses.clear()

    def accuracies(self) -> tuple[float, float] | None:
        """Of the first mini-batch and of the epoch, in percent; None of an epoch that was gone on with."""
        return None if self.begun is None else (100.0 * float(self.begun), self.row()["train_top1"])

    def row(self) -> LogRow:
        """Means over the samples of the epoch; accuracy in percent."""
        means = {name: float(value) / self.samples for name, value in self.sums.items() if name != "right"}
        return means | {"train_top1": 100.0 * float(self.sums["right"]) / self.samples}
