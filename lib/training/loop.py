"""The only training loop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib.images.batches import Batches
from lib.networks.network import Network
from lib.params.bounds import BelowOne, Epochs, Every
from lib.params.section import section
from lib.progress import Bar
from lib.randomness import number, stream
from lib.training.device import Compute, autocast
from lib.training.epochs import count_steps, epoch_sizes, problems_of_sizes
from lib.training.evaluation import evaluate
from lib.training.hooks import Hooks, Moment
from lib.training.objective import Objective
from lib.training.resume import Unfinished
from lib.training.schedules import BatchSize, LearningRate, factor, largest
from lib.training.sgd import Sgd
from lib.training.tally import LogRow, Tally

LARGEST = float(torch.finfo(torch.float32).max)  # what weights and learning rates can be
CHECK_EVERY = 20  # steps between looks at the loss, so that a GPU is not waited for at every step


@section
class Training(Sgd):
    """One training. epochs: its length. batches: sizes of the mini-batches. schedule: of the learning rate.
    label_smoothing: share of the label that is spread over all classes. validate_every: so many epochs, and after the last.
    """

    epochs: Epochs
    batches: BatchSize
    schedule: LearningRate
    label_smoothing: BelowOne
    validate_every: Every


@dataclass(frozen=True)
class Fit:
    """Everything one training needs. epochs: its length (a training from scratch is longer than settings say).

    section: where its settings stand in the parameter file.
    """

    network: Network
    hooks: Hooks
    objective: Objective
    train: Batches
    validation: Batches
    settings: Training
    epochs: int
    compute: Compute
    seed: int
    section: str = "training"

    @property
    def precision(self) -> torch.autocast:
        """What every step and every validation runs in."""
        return autocast(self.compute, self.train.device)

    @property
    def batches(self) -> BatchSize:
        """The schedule of mini-batch sizes: the hooks' own where they have one."""
        return self.hooks.batches or self.settings.batches

    def steps(self, epochs: int) -> int:
        """The number of steps of the first epochs."""
        return count_steps(self.batches, len(self.train), epochs)


def problem_of_rate(training: Training) -> str:
    """What is wrong with the largest learning rate of a training; empty when nothing is."""
    peak = largest(training.schedule)
    if training.lr * peak <= LARGEST:
        return ""
    return f"is {training.lr:g}, {peak:g} times that at its peak; weights hold {LARGEST:.3g} at most; lower it"


def _refuse(task: Fit) -> None:
    """Raise ValueError for settings that cannot work, before anything is trained."""
    key = f"{task.section}.batches" if task.hooks.batches is None else "the pruning method's batches"
    rate = problem_of_rate(task.settings)
    found = [f"{task.section}.lr: {rate}"] if rate else []
    if found := found + problems_of_sizes(task.batches, len(task.train), task.epochs, key):
        raise ValueError("\n".join(found))


def fit(task: Fit, unfinished: Unfinished, progress: Callable[[int, int], Bar]) -> list[LogRow]:
    """Train; returns one row of numbers an epoch. Continues an unfinished one, to the same bits.

    progress(total steps, steps done) makes the bar. Raises ValueError for settings that cannot work with so many images, and
    when the loss is not finite.
    """
    _refuse(task)
    parameters = [*task.network.parameters(), *task.objective.parameters, *task.hooks.parameters]
    optimizer = task.hooks.optimizer(parameters, task.settings)
    rows = _restore(task, optimizer, unfinished.load())
    step = task.steps(len(rows))
    bar = progress(task.steps(task.epochs), step)
    for epoch in range(len(rows), task.epochs):
        sizes = epoch_sizes(task.batches, len(task.train), step)
        with torch.random.fork_rng():  # dropout draws from the global stream
            torch.manual_seed(number(task.seed, "dropout", epoch))
            row = _epoch(task, optimizer, epoch, step, sizes, bar)
        step += len(sizes)
        rows.append(row | dict(task.hooks.after_epoch(Moment(epoch, step - 1, optimizer))) | _validation(task, epoch))
        bar.set_postfix_str(_summary(rows[-1]))
        unfinished.save(_state(task, optimizer, rows))
    return rows


def _epoch(task: Fit, optimizer: torch.optim.Optimizer, epoch: int, step: int, sizes: list[int], bar: Bar) -> LogRow:
    """One epoch, from `step` of the whole training on."""
    task.network.train()
    tally = Tally()
    for index, (indices, images, labels) in enumerate(_images(task, epoch, sizes)):
        rate = task.settings.lr * factor(task.settings.schedule, epoch + index / len(sizes), task.epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_factor", 1.0)
        with task.precision:
            losses = task.objective(images, labels, indices)
            parts, total = dict(losses.parts), losses.total
            if task.hooks.penalty is not None:
                parts["penalty"] = task.hooks.penalty()
                total = total + parts["penalty"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        task.hooks.after_step(Moment(epoch, step + index, optimizer))
        tally.add(total, parts, losses.logits, labels)
        if (index + 1) % CHECK_EVERY == 0 or index + 1 == len(sizes):
            tally.check(step + index, rate)
        bar.update(1)
    return {"epoch": float(epoch + 1), "steps": float(len(sizes)), "lr": rate, **tally.row()}


def _images(task: Fit, epoch: int, sizes: list[int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    return task.train.numbered(sizes, stream(task.seed, "batches", epoch))


def _validation(task: Fit, epoch: int) -> LogRow:
    if (epoch + 1) % task.settings.validate_every and epoch + 1 < task.epochs:
        return {}
    with task.precision:
        scores = evaluate(task.network, task.validation)
    return {"validation_top1": scores.top1, "validation_loss": scores.loss}


def _summary(row: LogRow) -> str:
    shown = {"loss": "loss {:.3f}", "train_top1": "train {:.1f} %", "validation_top1": "validation {:.1f} %"}
    return ", ".join(text.format(row[name]) for name, text in shown.items() if name in row)


def _state(task: Fit, optimizer: torch.optim.Optimizer, rows: list[LogRow]) -> dict[str, Any]:
    extra = [*task.objective.parameters, *task.hooks.parameters]
    return {
        "network": task.network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "extra": [parameter.detach() for parameter in extra],
        "hooks": dict(task.hooks.state),
        "rows": rows,
    }


@torch.no_grad()
def _restore(task: Fit, optimizer: torch.optim.Optimizer, state: dict[str, Any] | None) -> list[LogRow]:
    if state is None:
        return []
    task.network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    for parameter, value in zip([*task.objective.parameters, *task.hooks.parameters], state["extra"], strict=True):
        parameter.copy_(value)
    for name, tensor in task.hooks.state.items():
        tensor.copy_(state["hooks"][name])
    rows: list[LogRow] = state["rows"]
    return rows
