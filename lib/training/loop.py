"""The only training loop."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lib.images.batches import Batches
from lib.networks.batch_norms import calibration_sizes
from lib.networks.network import Network
from lib.params.bounds import BelowOne, Epochs, Every
from lib.params.section import section
from lib.progress import Bar
from lib.randomness import number, stream
from lib.training import snapshot
from lib.training.averaging import Average, Averaging, first_step
from lib.training.device import Compute, autocast, scaler
from lib.training.epochs import count_steps, epoch_sizes, problems_of_sizes
from lib.training.evaluation import evaluate
from lib.training.hooks import Hooks
from lib.training.objective import Objective
from lib.training.processes import of_first, share, shared_batch_norms
from lib.training.remaining import Remaining, remaining
from lib.training.resume import Unfinished
from lib.training.schedules import BatchSize, LearningRate, factor, largest, most_often
from lib.training.sgd import Sgd
from lib.training.snapshot import Part
from lib.training.stepping import Now, losses
from lib.training.tally import LogRow, Tally

LARGEST = float(torch.finfo(torch.float32).max)  # what weights and learning rates can be
FALL = 25.0  # percent points of accuracy that a training may lose in its first epoch without a word
CHECK_EVERY = 20  # steps between looks at the loss, so that a GPU is not waited for at every step

log = logging.getLogger(__name__)


@section
class Training(Sgd):
    """One training. epochs: its length. batches: sizes of the mini-batches. schedule: of the learning rate.
    label_smoothing: share of the label that is spread over all classes. averaging: of the weights of the last steps, which the
    training then ends with; null: it ends with the last weights. validate_every: epochs from one validation
    to the next; the last epoch always ends with one.
    """

    epochs: Epochs
    batches: BatchSize
    schedule: LearningRate
    label_smoothing: BelowOne
    averaging: Averaging | None
    validate_every: Every


@dataclass(frozen=True)
class Fit:
    """Everything one training needs. epochs: its length (a training from scratch is longer than settings say).

    section: where its settings stand in the parameter file. resume_every: steps between states saved within an epoch.
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
    resume_every: int | None = None

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
    if found := found + problems_of_sizes(task.batches, len(task.train), task.epochs, key, share().processes):
        raise ValueError("\n".join(found))


def fit(task: Fit, unfinished: Unfinished, progress: Callable[[int, int], Bar]) -> list[LogRow]:
    """Train; returns one row of numbers an epoch. Continues an unfinished one, to the same bits.

    progress(total steps, steps done) makes the bar. Raises ValueError for settings that cannot work with so many images, and
    when the loss is not finite.
    """
    _refuse(task)
    rows, now, done = _restored(task, of_first(unfinished.load() if share().process == 0 else None))
    start = task.steps(len(rows))
    bar = progress(task.steps(task.epochs), start + (done.steps if done else 0))
    for epoch in range(len(rows), task.epochs):
        todo = Epoch(epoch, start, epoch_sizes(task.batches, len(task.train), start), done)
        with torch.random.fork_rng(), shared_batch_norms(now.network):  # dropout draws from the global stream
            torch.manual_seed(number(task.seed, "dropout", epoch))
            row = _epoch(task, now, todo, bar, partial(_save, task, unfinished, now, rows))
        start, done = start + len(todo.sizes), None
        if epoch + 1 == task.epochs and now.average is not None:
            _average(task, now)
        if now.remaining is not None:
            now.remaining.put_back_(task.network)
        settled = task.hooks.held() is not None
        told = task.hooks.after_epoch(now.moment(epoch, start - 1))
        if not settled and now.average is not None and task.hooks.held() is not None:
            now.average.forget_()  # weights of a network whose masks were still to come
        if now.remaining is None and (small := _remaining(task)) is not None:
            now = _begun(task, small)
        rows.append(row | dict(told) | _validation(task, now, epoch))
        bar.set_postfix_str(_summary(rows[-1]))
        _save(task, unfinished, now, rows)
    return rows


@dataclass(frozen=True)
class Epoch:
    """An epoch to train. start: its first step in the whole training. sizes: of its mini-batches. done: the part before."""

    number: int
    start: int
    sizes: list[int]
    done: Part | None


def _remaining(task: Fit) -> Remaining | None:
    """What remains of the network, where that is settled and may be trained alone."""
    kept = task.hooks.held() if task.compute.train_remaining else None
    return None if kept is None else remaining(task.network, kept, task.objective)


def _begun(task: Fit, small: Remaining | None) -> Now:
    """With a fresh optimizer."""
    network, objective = (task.network, task.objective) if small is None else (small.network, small.objective)
    if task.compute.compile:
        for tapped in filter(None, (objective.student, objective.teacher)):
            tapped.compile_(most_often(task.batches))
    parameters = [*network.parameters(), *objective.parameters, *task.hooks.parameters]
    optimizer = task.hooks.optimizer(parameters, task.settings)
    scales = scaler(task.compute, task.train.device)
    average = None if task.settings.averaging is None else Average(network, task.settings.averaging)
    return Now(network, optimizer, scales, small, losses(network, objective, task.hooks), average)


def _average(task: Fit, now: Now) -> None:
    """End with the average of the last weights. Every process estimates the batch norms by the same whole mini-batches."""
    assert now.average is not None
    sizes = calibration_sizes(now.average.settings.images, len(task.train))
    batches = task.train.epoch(sizes, stream(task.seed, "averaged batch norms"))
    with task.precision:
        now.average.put_(now.network, (images for images, _ in batches))


def _epoch(task: Fit, now: Now, todo: Epoch, bar: Bar, save: Callable[[Part], None]) -> LogRow:
    """One epoch, or what is left of it."""
    now.network.train()
    epoch, sizes, tally, first = todo.number, todo.sizes, Tally(), 0
    begins = 0 if task.settings.averaging is None else first_step(task.settings.averaging, task.steps(task.epochs))
    if todo.done is not None:
        todo.done.draw_on()
        tally, first = todo.done.tally(), todo.done.steps
    for index, (indices, images, labels) in enumerate(_images(task, epoch, sizes, first), first):
        rate = task.settings.lr * factor(task.settings.schedule, epoch + index / len(sizes), task.epochs)
        for group in now.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_factor", 1.0)
        found = now.step(images, labels, indices, task.precision)
        step, ends = todo.start + index, index + 1 == len(sizes)
        task.hooks.after_step(now.moment(epoch, step))
        if now.average is not None and step >= begins:
            now.average.add_()
        tally.add(found.total, found.parts, found.logits, labels)
        saves = not ends and task.resume_every is not None and (step + 1) % task.resume_every == 0
        if (index + 1) % CHECK_EVERY == 0 or ends or saves:
            tally.check(step, rate)
        if saves:
            save(snapshot.part(index + 1, tally, task.train.device))
        bar.update(1)
    if epoch == 0:
        _tell_of_a_fall(task, tally)
    return {"epoch": float(epoch + 1), "steps": float(len(sizes)), "lr": rate, **tally.row()}


def _tell_of_a_fall(task: Fit, tally: Tally) -> None:
    """Warn where the first steps undid what the network knew."""
    found = tally.accuracies()
    if found is None or found[0] - found[1] <= FALL or share().process != 0:
        return
    log.warning(
        "the training accuracy fell from %.1f %% in the first mini-batch to %.1f %% over the first epoch: the learning rate "
        "begins too large; let it rise first (%s.schedule, such as one_cycle with peak: 0.05 and start_factor: 0.1) or lower "
        "%s.lr",
        *found,
        task.section,
        task.section,
    )


def _images(task: Fit, epoch: int, sizes: list[int], first: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    return task.train.numbered(sizes, stream(task.seed, "batches", epoch), first, share(), epoch)


def _validation(task: Fit, now: Now, epoch: int) -> LogRow:
    if (epoch + 1) % task.settings.validate_every and epoch + 1 < task.epochs:
        return {}
    with task.precision:
        scores = evaluate(now.network, task.validation, share())
    return {"validation_top1": scores.top1, "validation_loss": scores.loss}


def _summary(row: LogRow) -> str:
    shown = {"loss": "loss {:.3f}", "train_top1": "train {:.1f} %", "validation_top1": "validation {:.1f} %"}
    return ", ".join(text.format(row[name]) for name, text in shown.items() if name in row)


def _save(task: Fit, unfinished: Unfinished, now: Now, rows: list[LogRow], part: Part | None = None) -> None:
    unfinished.save(snapshot.take(task.network, task.objective, task.hooks, now, rows, part))


def _restored(task: Fit, saved: dict[str, Any] | None) -> tuple[list[LogRow], Now, Part | None]:
    """The rows so far, what is trained now (the network or what remains of it), and the part of an epoch that is done."""
    if saved is None:
        return [], _begun(task, _remaining(task)), None
    snapshot.restore_(task.network, task.objective, task.hooks, saved)
    now = _begun(task, _remaining(task) if saved["remaining"] else None)
    now.optimizer.load_state_dict(saved["optimizer"])
    now.scaler.load_state_dict(saved["scaler"])
    if now.average is not None:
        now.average.restore(saved["average"])
    rows: list[LogRow] = saved["rows"]
    return rows, now, snapshot.done(saved, task.train.device)
