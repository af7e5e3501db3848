"""A training step with masks held: of the masked network, against that of what remains of it.

    python -m bench.held_step [--threads 1]

ResNet-20 and 56, coupled masks at keep 0.5, mini-batches of 128 CIFAR-sized images, SGD with momentum; forward, backward, step
and holding. The two take turns; medians. Training what remains must be at least 1.5 times as fast in bfloat16.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Annotated

import torch

from lib.masks.kept import Kept
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.held import held
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.training.device import Compute, autocast, prepare
from lib.training.hooks import Moment
from lib.training.objective import Objective
from lib.training.remaining import remaining
from lib.training.sgd import Sgd, sgd
from lib.training.taps import Tapped
from stages.command import run

BATCH, KEEP_RATIO, WARM_UP, TURNS = 128, 0.5, 2, 9
SGD = Sgd(lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, decayed="all")


def steppers(name: str, context: torch.autocast) -> tuple[Callable[[], None], Callable[[], None]]:
    """One step of the masked network, and one of what remains."""
    images, labels = torch.randn(BATCH, 3, 32, 32).to(memory_format=torch.channels_last), torch.arange(BATCH) % 10
    network = build(Architecture(name, 10, 3), torch.Generator().manual_seed(0)).train()
    kept = Kept(Selection(network, KEEP_RATIO, coupled=True).choose(norms(network.filters(), 1)))
    hooks, objective = held(network, kept), Objective(Tapped(network), 0.0)
    small = remaining(network, kept, objective)
    assert small is not None

    def stepper(trained: Network, made: Objective, *, whole: bool) -> Callable[[], None]:
        optimizer = sgd(list(trained.parameters()), SGD)

        def step() -> None:
            with context:
                total = made(images, labels).total
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            hooks.after_step(Moment(0, 0, optimizer, whole))

        return step

    return stepper(network, objective, whole=True), stepper(small.network, small.objective, whole=False)


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
            steps = steppers(name, context)
            times: list[list[float]] = [[], []]
            for turn in range(WARM_UP + TURNS):
                for step, found in zip(steps, times, strict=True):
                    start = time.perf_counter()
                    step()
                    if turn >= WARM_UP:
                        found.append(1e3 * (time.perf_counter() - start))
            masked, small = map(median, times)
            ratio = masked / small
            print(f"{name} {precision:<8}  masked {masked:6.0f} ms   what remains {small:6.0f} ms   {ratio:.2f} times")


if __name__ == "__main__":
    run(main)
