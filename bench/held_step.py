"""A training step with masks held: of the masked network, and of what remains of it; alone, and taught by the dense network.

    python -m bench.held_step [--threads 1]

ResNet-20 and 56, coupled masks at keep 0.5, mini-batches of 128 CIFAR-sized images, SGD with momentum; forward, backward, step
and holding; `kd` computes the teacher's logits, `kd, asked once` finds them (lib/distillation/answers.py). All take turns;
medians. Training what remains must be at least 1.5 times as fast in bfloat16.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import torch

from lib.distillation.answers import GIB, Answers
from lib.distillation.building import distilled
from lib.masks.kept import Kept
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.pruning.held import held
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.training.device import Compute, autocast, prepare
from lib.training.hooks import Moment
from lib.training.objective import Recall
from lib.training.remaining import remaining
from lib.training.sgd import Sgd, sgd
from lib.training.taps import Tapped
from stages.command import run

BATCH, KEEP_RATIO, WARM_UP, TURNS = 128, 0.5, 2, 9
Remember = Callable[[Tapped], Recall | None] | None
SGD = Sgd(lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, decayed="all")


def steppers(name: str, context: torch.autocast, folder: Path) -> dict[str, Callable[[], None]]:
    """A step of each kind. folder: for the teacher's answers."""
    images, labels = torch.randn(BATCH, 3, 32, 32).to(memory_format=torch.channels_last), torch.arange(BATCH) % 10

    def stepper(remember: Remember = None, *, taught: bool = False, whole: bool = False) -> Callable[[], None]:
        network, teacher = (build(Architecture(name, 10, 3), torch.Generator().manual_seed(seed)) for seed in (0, 1))
        kept = Kept(Selection(network, KEEP_RATIO, coupled=True).choose(norms(network.filters(), 1)))
        terms = {"kd": 1.0} if taught else {}
        made = distilled(network.train(), teacher, terms, {"kd": {"temperature": 4.0}}, 0.0, images[:2], remember)
        hooks, small = held(network, kept), None if whole else remaining(network, kept, made)
        assert whole or small is not None
        trained, objective = (network, made) if small is None else (small.network, small.objective)
        optimizer = sgd(list(trained.parameters()), SGD)

        def step() -> None:
            with context:
                total = objective(images, labels).total
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            hooks.after_step(Moment(0, 0, optimizer, whole))

        return step

    return {
        "masked": stepper(whole=True),
        "what remains": stepper(),
        "kd": stepper(taught=True),
        "kd, asked once": stepper(lambda teacher: Answers(teacher, folder, GIB), taught=True),
    }


def main(threads: Annotated[int, "of torch"] = 1) -> None:
    for precision in ("bfloat16", "float32"):
        compute = Compute(
            device="cpu",
            threads=threads,
            precision=precision,
            train_remaining=True,
            processes=1,
            rendezvous=None,
            compile=False,
        )  # type: ignore[arg-type]
        context = autocast(compute, prepare(compute))
        for name in ("resnet20", "resnet56"):
            with TemporaryDirectory() as folder:
                middle = _medians(steppers(name, context, Path(folder)))
            ratio = middle["masked"] / middle["what remains"]
            told = "   ".join(f"{kind} {seconds:.0f} ms" for kind, seconds in middle.items())
            print(f"{name} {precision:<8}  {told}   {ratio:.2f} times")


def _medians(steps: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """Milliseconds."""
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for turn in range(WARM_UP + TURNS):
        for kind, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= WARM_UP:
                times[kind].append(1e3 * (time.perf_counter() - start))
    return {kind: median(found) for kind, found in times.items()}


if __name__ == "__main__":
    run(main)
