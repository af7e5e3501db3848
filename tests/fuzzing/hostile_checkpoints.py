"""Checkpoints with a right checksum that must be refused, and cost next to nothing."""

import random
from collections.abc import Callable, Mapping

import torch

from tests.fuzzing.checkpoint_parts import Parts, put
from tests.fuzzing.hostile_values import ARGUMENTS, CODE, LARGE

NOTES = '"notes": {'
MANY = NOTES + '"a": [' + "[]," * 10**6 + "1],"
DEEP = NOTES + '"a": ' + "[" * 10**5 + "]" * 10**5 + ","
TYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.complex64,
    torch.int64,
    torch.bool,
    torch.uint8,
    torch.float8_e5m2,
)
NUMBERS = (float("nan"), float("inf"), -float("inf"))

HOSTILE: Mapping[str, Callable[[Parts, random.Random], bytes]] = {
    "wide hidden layers": lambda parts, _: parts.built(arguments={"hidden": [65536] * 5}),
    "many hidden layers": lambda parts, chance: parts.built(arguments={"hidden": [1] * chance.choice((1_000, 100_000))}),
    "arguments": lambda parts, chance: parts.built(arguments=chance.choice(ARGUMENTS)),
    "code": lambda parts, chance: parts.built(name=chance.choice(CODE)),
    "a large network": lambda parts, chance: parts.built(name=chance.choice(LARGE), size=[224, 224]),
    "a large network, cut": lambda parts, chance: parts.built(
        name=chance.choice(LARGE), size=[224, 224], kept={"filters": {}, "mode": "coupled"}
    ),
    "large images": lambda parts, chance: parts.built(
        name=chance.choice(("resnet20", "torchvision:shufflenet_v2_x1_0", "torchvision:swin_t")),
        size=[8192, 8192],
        kept={"filters": {}, "mode": "coupled"},
    ),
    "classes": lambda parts, chance: parts.built(num_classes=chance.choice((0, 3, 5, 65536, 10**8, True, "4", 4.0))),
    "another network": lambda parts, chance: parts.built(
        name=chance.choice(("resnet20", "vgg11", "resnet152", "x", "\x1b[2J"))
    ),
    "channels": lambda parts, chance: parts.built(in_channels=chance.choice((0, 1, 4, 10**9))),
    "nothing of what is kept": lambda parts, _: parts.built(kept={}),
    "nothing kept": lambda parts, _: parts.built(kept={"filters": {}, "mode": "coupled"}),
    "another mode": lambda parts, chance: parts.built(kept={"filters": {}, "mode": chance.choice(("both", None, 1))}),
    "no masks of one": lambda parts, _: parts.changed(masks={}),
    "another format": lambda parts, chance: parts.changed(format=chance.choice((1, 2, 4, "3", None, [3], 3.0))),
    "shape": lambda parts, chance: parts.changed(shape=chance.choice(([3, 10**9, 10**9], [1, 8, 8], [3, 8], [3, 0, 8], 3))),
    "mean": lambda parts, chance: parts.changed(mean=chance.choice(([0.1], [0.1] * 4, [0.1, 0.2, 1e300], [0.1] * 10**5))),
    "deviation": lambda parts, chance: parts.changed(std=[0.2, 0.2, chance.choice((0, -0.0, -1, 1e-300, float("nan"), "1"))]),
    "many notes": lambda parts, _: parts.worded(lambda text: text.replace(NOTES, MANY)),
    "deep notes": lambda parts, _: parts.worded(lambda text: text.replace(NOTES, DEEP)),
    "a key twice": lambda parts, _: parts.worded(lambda text: text.replace("{", '{"format": 3, ', 1)),
    "many keys": lambda parts, _: parts.changed(**{str(number): 0 for number in range(150_000)}),
    "no number": lambda parts, chance: parts.altered(chance, ".weight", put(chance.choice(NUMBERS))),
    "no statistic": lambda parts, chance: parts.altered(chance, "running_mean", put(chance.choice(NUMBERS))),
    "negative variance": lambda parts, chance: parts.altered(chance, "running_var", put(-0.5)),
    "negative count": lambda parts, chance: parts.altered(chance, "num_batches_tracked", put(-1)),
    "a type": lambda parts, chance: parts.altered(chance, "running_var", lambda tensor: tensor.to(chance.choice(TYPES))),
    "a shape": lambda parts, chance: parts.altered(chance, ".weight", lambda tensor: tensor.unsqueeze(0)),
    "no tensor": lambda parts, chance: parts.altered(chance, ".bias", lambda tensor: tensor[:0]),
    "a tensor more": lambda parts, _: parts.holding({"x\x1b[2J" * 100: torch.zeros(1)}),
    "many tensors more": lambda parts, _: parts.holding(dict.fromkeys(map(str, range(20_000)), torch.zeros(0))),
    "a tensor less": lambda parts, _: parts._replace(state=dict(list(parts.state.items())[1:])).file(),
}
