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
from lib.training.remaining import Remaining, remaining
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
    rows, now = _restored(task, unfinished.load())
    step = task.steps(len(rows))
    bar = progress(task.steps(task.epochs), step)
    for epoch in range(len(rows), task.epochs):
        sizes = epoch_sizes(task.batches, len(task.train), step)
        with torch.random.fork_rng():  # dropout draws from the global stream
            torch.manual_seed(number(task.seed, "dropout", epoch))
            row = _epoch(task, now, epoch, step, sizes, bar)
        step += len(sizes)
        if now.remaining is not None:
            now.remaining.put_back_(task.network)
        told = task.hooks.after_epoch(now.moment(epoch, step - 1))
        if now.remaining is None and (small := _remaining(task)) is not None:
            now = _begun(task, small)
        rows.append(row | dict(told) | _validation(task, now, epoch))
        bar.set_postfix_str(_summary(rows[-1]))
        unfinished.save(_state(task, now, rows))
    return rows


@dataclass(frozen=True)
class Now:
    """What is trained at the moment: the network itself or what remains of it, by which objective and optimizer."""

    network: Network
    objective: Objective
    optimizer: torch.optim.Optimizer
    remaining: Remaining | None

    def moment(self, epoch: int, step: int) -> Moment:
        """Where it stands."""
        return Moment(epoch, step, self.optimizer, whole=self.remaining is None)


def _remaining(task: Fit) -> Remaining | None:
    """What remains of the network, where that is settled and may be trained alone."""
    kept = task.hooks.held() if task.compute.train_remaining else None
    return None if kept is None else remaining(task.network, kept, task.objective)


def _begun(task: Fit, small: Remaining | None) -> Now:
    """With a fresh optimizer."""
    network, objective = (task.network, task.objective) if small is None else (small.network, small.objective)
    parameters = [*network.parameters(), *objective.parameters, *task.hooks.parameters]
    return Now(network, objective, task.hooks.optimizer(parameters, task.settings), small)


def _epoch(task: Fit, now: Now, epoch: int, step: int, sizes: list[int], bar: Bar) -> LogRow:
    """One epoch, from `step` of the whole training on."""
    now.network.train()
    optimizer = now.optimizer
    tally = Tally()
    for index, (indices, images, labels) in enumerate(_images(task, epoch, sizes)):
        rate = task.settings.lr * factor(task.settings.schedule, epoch + index / len(sizes), task.epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_factor", 1.0)
        with task.precision:
            losses = now.objective(images, labels, indices)
            parts, total = dict(losses.parts), losses.total
            if task.hooks.penalty is not None:
                parts["penalty"] = task.hooks.penalty()
                total = total + parts["penalty"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        task.hooks.after_step(now.moment(epoch, step + index))
        tally.add(total, parts, losses.logits, labels)
        if (index + 1) % CHECK_EVERY == 0 or index + 1 == len(sizes):
            tally.check(step + index, rate)
        bar.update(1)
    return {"epoch": float(epoch + 1), "steps": float(len(sizes)), "lr": rate, **tally.row()}


def _images(task: Fit, epoch: int, sizes: list[int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    return task.train.numbered(sizes, stream(task.seed, "batches", epoch))


def _validation(task: Fit, now: Now, epoch: int) -> LogRow:
    if (epoch + 1) % task.settings.validate_every and epoch + 1 < task.epochs:
        return {}
    with task.precision:
        scores = evaluate(now.network, task.validation)
    return {"validation_top1": scores.top1, "validation_loss": scores.loss}


def _summary(row: LogRow) -> str:
    shown = {"loss": "loss {:.3f}", "train_top1": "train {:.1f} %", "validation_top1": "validation {:.1f} %"}
    return ", ".join(text.format(row[name]) for name, text in shown.items() if name in row)


def _state(task: Fit, now: Now, rows: list[LogRow]) -> dict[str, Any]:
    extra = [*task.objective.parameters, *task.hooks.parameters]
    return {
        "network": task.network.state_dict(),
        "optimizer": now.optimizer.state_dict(),
        "extra": [parameter.detach() for parameter in extra],
        "hooks": dict(task.hooks.state),
        "rows": rows,
    }


@torch.no_grad()
def _restored(task: Fit, state: dict[str, Any] | None) -> tuple[list[LogRow], Now]:
    """The rows so far, and what is trained now: the hooks' state decides whether that is the network or what remains."""
    if state is None:
        return [], _begun(task, _remaining(task))
    task.network.load_state_dict(state["network"])
    for parameter, value in zip([*task.objective.parameters, *task.hooks.parameters], state["extra"], strict=True):
        parameter.copy_(value)
    for name, tensor in task.hooks.state.items():
        tensor.copy_(state["hooks"][name])
    now = _begun(task, _remaining(task))
    now.optimizer.load_state_dict(state["optimizer"])
    rows: list[LogRow] = state["rows"]
    return rows, now
