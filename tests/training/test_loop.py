"""The training loop: reproducible, its hooks called as documented, its errors with a cure, its scores right."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.formats.checkpoint import load
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.section import read
from lib.randomness import stream
from lib.steps.train_teacher import teach
from lib.training import evaluation, loop
from lib.training.device import Compute, prepare
from lib.training.evaluation import evaluate
from lib.training.hooks import Hooks, Moment
from lib.training.loop import Fit, Training, fit
from lib.training.objective import Objective
from lib.training.resume import Unfinished
from lib.training.run import Setting
from lib.training.schedules import Constant
from lib.training.tally import LogRow, Tally
from lib.training.taps import Tapped
from tests import interrupted, tiny

CPU = torch.device("cpu")


class Bar:
    """Counts what a progress bar is told."""

    def __init__(self) -> None:
        self.steps = 0.0

    def update(self, n: float = 1) -> None:
        self.steps += n

    def set_postfix_str(self, s: str) -> None:
        assert "loss" in s


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    tiny.digits(folder)
    return folder


@pytest.fixture
def here(folder: Path) -> Setting:
    return tiny.here(tiny.document(), folder)


def _task(here: Setting, samples: int, method: Callable[[Network], Hooks], **changes: Any) -> Fit:
    """Train resnet8 on the first samples of the digits, 10 a step, 2 epochs; `changes` are of section teacher."""
    given = {"batches": {"kind": "constant", "size": 10, "last": "merge"}, **changes}
    document = tiny.document(**{f"teacher__{name}": value for name, value in given.items()})
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))
    split = here.dataset.splits["train"]
    train = Batches(
        split.images[:samples], split.labels[:samples], here.dataset.mean, here.dataset.std, here.augmentation, CPU
    )
    settings = read(document, "teacher", Training)
    objective = Objective(Tapped(network), settings.label_smoothing)
    compute = read(document, "compute", Compute)
    return Fit(network, method(network), objective, train, train, settings, settings.epochs, compute, 0)


def _plain(_: Network) -> Hooks:
    return Hooks()


def _fit(task: Fit, folder: Path) -> list[LogRow]:
    return fit(task, Unfinished(folder), lambda *_: Bar())


def _taught(folder: Path, out: str, seed: int = 0, **changes: Any) -> Path:
    document = tiny.document(**changes)
    log = (folder / out).with_suffix(".csv")
    assert teach(document, "resnet8", tiny.here(document, folder, seed), folder / "cache", folder / out, log) == ""
    return folder / out


def test_the_same_seed_gives_the_same_bits_and_another_others(folder: Path) -> None:
    torch.manual_seed(1)
    one = _taught(folder, "one.safetensors")
    torch.manual_seed(2)  # the caller's random state has no say
    two, other = _taught(folder, "two.safetensors"), _taught(folder, "other.safetensors", seed=1)
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()
    assert one.with_suffix(".csv").read_text() == two.with_suffix(".csv").read_text()
    assert one.with_suffix(".csv").read_text() != other.with_suffix(".csv").read_text()


def test_training_learns_and_logs_every_epoch(folder: Path) -> None:
    out = _taught(folder, "learnt.safetensors", teacher__epochs=3)
    header, *rows = (line.split(",") for line in out.with_suffix(".csv").read_text().splitlines())
    assert header[:4] == ["epoch", "steps", "lr", "loss"]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    losses = [float(row[3]) for row in rows]
    assert losses[-1] < losses[0]
    assert load(out).notes["epochs"] == 3
    assert list((folder / "scratch").iterdir()) == []


def test_validation_comes_every_so_many_epochs_and_after_the_last(here: Setting, tmp_path: Path) -> None:
    rows = _fit(_task(here, 20, _plain, epochs=5, validate_every=2), tmp_path)
    assert ["validation_top1" in row for row in rows] == [False, True, False, True, True]


def test_bfloat16_trains_float32_weights(folder: Path) -> None:
    whole = load(_taught(folder, "whole.safetensors")).network.state_dict()
    half = load(_taught(folder, "half.safetensors", compute__precision="bfloat16")).network.state_dict()
    assert {value.dtype for value in half.values()} == {torch.float32, torch.int64}
    assert all(value.isfinite().all() for value in half.values())
    assert any(not torch.equal(value, whole[name]) for name, value in half.items())


def test_a_training_whose_first_steps_undo_what_the_network_knew_says_so(
    here: Setting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = _task(here, 200, _plain, epochs=6)
    (*_, row) = _fit(task, tmp_path / "learnt")
    assert row["train_top1"] > 80
    gentle = replace(task, settings=replace(task.settings, lr=0.001), epochs=1)
    _fit(gentle, tmp_path / "gentle")
    assert caplog.messages == []
    _fit(replace(gentle, settings=replace(task.settings, lr=3.0), section="distill.training"), tmp_path / "wild")
    (told,) = caplog.messages
    assert re.match(
        r"the training accuracy fell from \d+\.\d % in the first mini-batch to \d\d\.\d % over the first epoch", told
    )
    assert "(distill.training.schedule, such as one_cycle with peak: 0.05" in told


def test_a_loss_that_is_not_finite_stops_with_step_rate_and_advice(here: Setting, tmp_path: Path) -> None:
    advice = "lower `lr`, lengthen the schedule's warm-up, or set compute.precision to float32"
    with pytest.raises(ValueError, match=rf"the loss is (nan|inf) at step \d+, learning rate .*\d: {advice}"):
        _fit(_task(here, 60, _plain, lr=100.0, weight_decay=1.0), tmp_path)


@pytest.mark.parametrize("bad", [0, 7, 24, 29])
def test_the_first_step_that_is_not_finite_is_named(here: Setting, tmp_path: Path, bad: int) -> None:
    step = iter(range(100))

    def penalty() -> Tensor:
        return torch.tensor(math.inf if next(step) >= bad else 0.0)

    task = _task(here, 150, lambda _: Hooks(penalty=penalty))
    with pytest.raises(ValueError, match=f"the loss is (inf|nan) at step {bad}, learning rate"):
        _fit(task, tmp_path)


def test_a_single_last_sample_joins_the_batch_before_it(here: Setting, tmp_path: Path) -> None:
    task = _task(here, 21, _plain)
    assert task.steps(2) == 4
    assert [row["steps"] for row in _fit(task, tmp_path)] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("samples", "changes", "said"),
    [
        (9, {"batches": {"kind": "constant", "size": 10, "last": "drop"}}, "teacher.batches: epoch 1 has no mini-batch"),
        (
            21,
            {"batches": {"kind": "constant", "size": 10, "last": "keep"}},
            "teacher.batches: mini-batch 3 of epoch 1 has one",
        ),
        (
            20,
            {
                "lr": 100.0,
                "schedule": {
                    "kind": "multi_step",
                    "milestones": list(range(13)),
                    "gammas": [1000.0] * 13,
                    "warmup_epochs": 0,
                    "warmup_factor": 1,
                },
            },
            r"teacher.lr: is 100, 1e\+39 times that at its peak; weights hold 3.4e\+38 at most; lower it$",
        ),
    ],
    ids=["drop", "one left", "peak"],
)
def test_settings_that_cannot_train_are_refused_before_the_first_step(
    here: Setting, tmp_path: Path, samples: int, changes: dict[str, Any], said: str
) -> None:
    task = replace(_task(here, samples, _plain, **changes), section="teacher")
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    with pytest.raises(ValueError, match=f"^{said}"):
        _fit(task, tmp_path)
    assert all(torch.equal(before[name], value) for name, value in task.network.state_dict().items())


def test_a_methods_own_mini_batches_are_told_as_such(here: Setting, tmp_path: Path) -> None:
    alone = Constant("constant", 19, "keep")
    task = _task(here, 20, lambda _: Hooks(batches=alone))
    with pytest.raises(ValueError, match=r"^the pruning method's batches: mini-batch 2 of epoch 1 has one image"):
        _fit(task, tmp_path)


def test_hooks_are_called_as_documented(here: Setting, tmp_path: Path) -> None:
    moments: list[Moment] = []
    built: list[Any] = []
    extra = nn.Parameter(torch.ones(2))

    def optimizer(parameters: list[nn.Parameter], settings: Any) -> torch.optim.Optimizer:
        built.append((parameters, settings))
        return torch.optim.SGD(parameters, lr=settings.lr)

    def method(_: Network) -> Hooks:
        return Hooks(
            optimizer=optimizer,
            parameters=(extra,),
            after_step=moments.append,
            after_epoch=lambda _: {"steps_seen": float(len(moments))},
            penalty=lambda: 3.0 * (extra**2).sum(),
            batches=Constant(kind="constant", size=8, last="drop"),
        )

    task = _task(here, 20, method)
    rows = _fit(task, tmp_path)
    assert [(moment.epoch, moment.step) for moment in moments] == [(0, 0), (0, 1), (1, 2), (1, 3)]
    assert [row["steps_seen"] for row in rows] == [2.0, 4.0]
    ((parameters, settings),) = built
    assert parameters == [*task.network.parameters(), extra]
    assert settings is task.settings
    assert all(moment.optimizer.param_groups[0]["params"] == parameters for moment in moments)
    assert rows[0]["loss"] == pytest.approx(rows[0]["loss_cross_entropy"] + 3.0 * _mean_square(task), rel=1e-5)
    assert (extra.detach() < 0.5).all()


def _mean_square(task: Fit) -> float:
    """Sum of squares of the two extra parameters, averaged over the first epoch's steps, by hand: x <- x - lr * 6x."""
    first, second = (task.settings.lr * loop.factor(task.settings.schedule, at, 2) for at in (0.0, 0.5))
    assert second > first
    return (2.0 + 2.0 * (1.0 - 6.0 * first) ** 2) / 2.0


def test_the_penalty_reaches_the_weights(here: Setting, tmp_path: Path) -> None:
    def method(network: Network) -> Hooks:
        return Hooks(penalty=lambda: network.filters()["conv1"].square().sum())

    with_penalty, without = _task(here, 20, method), _task(here, 20, _plain)
    _fit(with_penalty, tmp_path / "a")
    _fit(without, tmp_path / "b")
    ours, theirs = (task.network.filters()["conv1"].square().sum() for task in (with_penalty, without))
    assert ours < theirs


def test_the_learning_rate_follows_the_schedule_within_an_epoch(here: Setting, tmp_path: Path) -> None:
    rates: list[float] = []

    def method(_: Network) -> Hooks:
        return Hooks(after_step=lambda moment: rates.append(moment.optimizer.param_groups[0]["lr"]))

    schedule = {"kind": "cosine", "warmup_epochs": 1, "warmup_factor": 0.5, "final_factor": 0.0}
    rows = _fit(_task(here, 20, method, lr=0.1, schedule=schedule), tmp_path)
    assert rates == pytest.approx([0.05, 0.075, 0.1, 0.05])
    assert [row["lr"] for row in rows] == pytest.approx([0.075, 0.05])


def test_progress_starts_where_the_state_ends(here: Setting, tmp_path: Path) -> None:
    _fit(_task(here, 20, _plain), tmp_path)
    begun: list[tuple[int, int]] = []
    bar = Bar()

    def progress(total: int, done: int) -> Bar:
        begun.append((total, done))
        return bar

    rows = fit(_task(here, 20, _plain, epochs=3), Unfinished(tmp_path), progress)
    assert begun == [(6, 4)]
    assert bar.steps == 2
    assert [row["epoch"] for row in rows] == [1.0, 2.0, 3.0]


def test_dropout_is_the_same_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted.prepare(tmp_path)
    monkeypatch.setattr(Unfinished, "save", lambda *_: None)
    states: list[bytes] = []
    for stop in (False, True):
        task = _vgg(tmp_path)
        if stop:
            monkeypatch.undo()
            with pytest.MonkeyPatch.context() as patch:
                _stop_after_first_save(patch)
                with pytest.raises(KeyboardInterrupt):
                    _fit(task, tmp_path / "state")
            torch.manual_seed(99)
            task = _vgg(tmp_path)
        rows = _fit(task, tmp_path / "state")
        assert len(rows) == 2
        states.append(b"".join(value.numpy().tobytes() for value in task.network.state_dict().values()))
    assert states[0] == states[1]


def _vgg(folder: Path) -> Fit:
    """vgg11, with its dropout, on eight images of 32x32, four a step."""
    data = training_data(folder)
    network = build(Architecture("vgg11", 10, 1), stream(0, "initialisation"))
    document = tiny.document(teacher__batches={"kind": "constant", "size": 4, "last": "merge"})
    settings, compute = read(document, "teacher", Training), read(document, "compute", Compute)
    return Fit(network, _plain(network), Objective(Tapped(network), 0.0), data, data, settings, 2, compute, 0)


def training_data(folder: Path) -> Batches:
    """The first eight train images of the small images in a folder."""
    from lib.images.dataset import load as load_data

    data = load_data(folder / "data")
    split = data.splits["train"]
    return Batches(split.images[:8], split.labels[:8], data.mean, data.std, STILL, CPU)


def _stop_after_first_save(patch: pytest.MonkeyPatch) -> None:
    original = Unfinished.save

    def stop(place: Unfinished, state: Any) -> None:
        original(place, state)
        raise KeyboardInterrupt

    patch.setattr(Unfinished, "save", stop)


class Echo(nn.Module):
    """Logits are the pixels of a 1x1 image with a channel for each class."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


@pytest.mark.parametrize("classes", [3, 7])
def test_evaluate_counts_by_hand_with_an_uneven_last_batch(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 4)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.stack([torch.randperm(classes, generator=generator) for _ in range(10)])
    labels = torch.randint(0, classes, (10,), generator=generator)
    images = pixels.to(torch.uint8)[:, :, None, None]
    still = STILL
    batches = Batches(images, labels, (0.0,) * classes, (1 / 255,) * classes, still, CPU)
    scores = evaluate(Echo(), batches)  # type: ignore[arg-type]
    ranks = [sum(value > row[label] for value in row) for row, label in zip(pixels.tolist(), labels, strict=True)]
    losses = [math.log(sum(math.exp(v) for v in row)) - row[label] for row, label in zip(pixels.tolist(), labels, strict=True)]
    assert scores.top1 == 10.0 * sum(rank < 1 for rank in ranks)
    assert scores.top5 == 10.0 * sum(rank < 5 for rank in ranks)
    assert scores.loss == pytest.approx(sum(losses) / 10, rel=1e-5)
    assert 0 < scores.top1 < 100


def test_evaluate_leaves_batch_norm_alone(here: Setting) -> None:
    task = _task(here, 20, _plain)
    before = {name: value.clone() for name, value in task.network.train().state_dict().items()}
    evaluate(task.network, task.train)
    assert all(torch.equal(before[name], value) for name, value in task.network.state_dict().items())


def test_tally_averages_over_samples_and_not_over_steps() -> None:
    tally = Tally()
    logits = torch.tensor([[1.0, 0.0]])
    tally.add(torch.tensor(1.0), {"kd": torch.tensor(2.0)}, logits.expand(3, 2), torch.tensor([0, 0, 1]))
    tally.add(torch.tensor(5.0), {"kd": torch.tensor(6.0)}, logits, torch.tensor([1]))
    assert tally.row() == {"loss": 2.0, "loss_kd": 3.0, "train_top1": 50.0}


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(read(tiny.document(), "compute", Compute), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"compute.device is cuda, but torch finds no CUDA device; set it to cpu or auto"):
        prepare(asked)
    assert prepare(replace(asked, device="auto")) == CPU
