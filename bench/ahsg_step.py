"""One AHSG-HT step (optimizer and projection) on ResNet-56 against torch's foreach SGD-Nesterov step.

    python -m bench.ahsg_step

The two take turns call by call; medians over all turns. A projection filter by filter, as in the original, is timed too.
"""

import time
from collections.abc import Callable
from itertools import count
from statistics import median

import torch

from lib.masks.filters import kept_count
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE
from lib.pruning.method import Request
from lib.pruning.methods import ahsg_ht
from lib.training.hooks import Moment
from lib.training.sgd import Sgd, sgd

KEEP_RATIO, TURNS, WARM_UP = 0.7, 300, 20
SETTINGS = Sgd(lr=1e-6, momentum=0.9, nesterov=True, weight_decay=5e-4, decayed="all")


def network() -> Network:
    made = build(Architecture("resnet56", 10, 3), torch.Generator().manual_seed(0)).train()
    made(torch.randn(4, 3, 32, 32)).square().mean().backward()
    return made


@torch.no_grad()
def filter_by_filter(made: Network) -> None:
    """The original's way: every norm fetched to Python, every dropped filter zeroed by itself."""
    for layer in made.layers:
        weight, norm = made.weight(layer.name), made.batch_norm(layer)
        assert norm is not None
        norms = [one.norm(2).item() for one in weight]
        order = sorted(range(len(norms)), key=norms.__getitem__)
        for index in order[: len(norms) - kept_count(len(norms), KEEP_RATIO)]:
            weight[index] = 0.0
            norm.bias[index] = 0.0


def main() -> None:
    torch.set_num_threads(1)
    plain, pruned, original = network(), network(), network()
    steps = {"SGD": sgd(list(plain.parameters()), SETTINGS).step}
    params = ahsg_ht.AhsgHtSettings(
        start="dense",
        guide={},
        variant="sgd",
        heavy_ball=0.1,
        warmup_epochs=0,
        warmup_steps=0,
        every=1,
        mask_momentum=False,
        revival="damped",
        batches=None,
    )
    request = Request(KEEP_RATIO, False, 1, torch.Generator(), EVERYWHERE, (3, 32, 32), lambda *_: iter(()))
    method = ahsg_ht.method(pruned, params, request)
    optimizer = method.optimizer(list(pruned.parameters()), SETTINGS)
    theirs = sgd(list(original.parameters()), SETTINGS)
    steps_done = count()

    def ours() -> None:
        optimizer.step()
        method.after_step(Moment(0, next(steps_done), optimizer))

    calls: dict[str, Callable[[], object]] = {
        **steps,
        "AHSG-HT": ours,
        "SGD and a projection filter by filter": lambda: (theirs.step(), filter_by_filter(original)),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(WARM_UP + TURNS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    base = median(times["SGD"])
    for name, values in times.items():
        print(f"{name}: {1000 * median(values):.3f} ms a step, {median(values) / base:.2f} x SGD")


if __name__ == "__main__":
    main()
