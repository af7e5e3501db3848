"""Packed networks with a right checksum that must be refused, and cost next to nothing."""

import random
from collections.abc import Callable, Mapping

from tests.fuzzing.container_parts import Parts
from tests.fuzzing.hostile_values import ARGUMENTS, CODE, LARGE

NOTES = '"notes": {'
MANY = NOTES + '"a": [' + "[]," * 10**6 + "1],"
DEEP = NOTES + '"a": ' + "[" * 10**5 + "]" * 10**5 + ","

HOSTILE: Mapping[str, Callable[[Parts, random.Random], bytes]] = {
    "wide hidden layers": lambda parts, _: parts.container(arguments={"hidden": [65536] * 5}),
    "many hidden layers": lambda parts, chance: parts.container(arguments={"hidden": [1] * chance.choice((1_000, 100_000))}),
    "arguments": lambda parts, chance: parts.container(arguments=chance.choice(ARGUMENTS)),
    "code": lambda parts, chance: parts.container(name=chance.choice(CODE)),
    "a large network": lambda parts, chance: parts.container(name=chance.choice(LARGE), size=[224, 224]),
    "a large network, cut": lambda parts, chance: parts.container(
        name=chance.choice(LARGE), size=[224, 224], compaction="coupled"
    ),
    "large images": lambda parts, chance: parts.container(
        name=chance.choice(("resnet20", "torchvision:shufflenet_v2_x1_0", "torchvision:swin_t")),
        size=[8192, 8192],
        compaction="coupled",
    ),
    "a large network of zeros": lambda parts, chance: parts.named(chance.choice(LARGE[:4]), (224, 224)),
    "another mode": lambda parts, chance: parts.container(compaction=chance.choice(("both", 1, []))),
    "unfolding": lambda parts, _: parts.unfolding([65536] * 5),
    "many unfolding": lambda parts, _: parts.unfolding([1024] * 60),
    "classes": lambda parts, chance: parts.container(num_classes=chance.choice((3, 5, 65536, 10**8))),
    "another network": lambda parts, chance: parts.container(name=chance.choice(("resnet20", "vgg11", "resnet152", "x"))),
    "shape": lambda parts, chance: parts.container(shape=chance.choice(([3, 10**9, 10**9], [1, 8, 8], [3, 8], [3, 0, 8]))),
    "mean": lambda parts, chance: parts.container(mean=chance.choice(([0.1], [0.1] * 4, [0.1, 0.2, 1e300], [0.1] * 10**5))),
    "deviation": lambda parts, chance: parts.container(
        std=[0.2, 0.2, chance.choice((0, -0.0, -1, 1e-300, float("nan"), "1"))]
    ),
    "many notes": lambda parts, _: parts.worded(lambda text: text.replace(NOTES, MANY)),
    "deep notes": lambda parts, _: parts.worded(lambda text: text.replace(NOTES, DEEP)),
    "a key twice": lambda parts, _: parts.worded(lambda text: text.replace("{", '{"num_classes": 4, ', 1)),
    "many keys": lambda parts, _: parts.container(**{str(number): 0 for number in range(150_000)}),
    "a bomb": lambda parts, _: parts.worded(lambda text: " " * 2**26 + text),
    "behind the header": lambda parts, chance: parts.worded(str, behind=chance.randbytes(9)),
    "behind the tensors": lambda parts, chance: parts.worded(str, last=chance.randbytes(chance.choice((1, 9, 10_000)))),
    "no number": lambda parts, chance: parts.poisoned(chance, "", float(chance.choice(("nan", "inf", "-inf")))),
    "negative variance": lambda parts, chance: parts.poisoned(chance, "running_var", -0.5),
}
