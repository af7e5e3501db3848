"""Values that no header should hold where they are put."""

from typing import Any

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    0.5,
    1,
    10**6,
    10**8,
    10**400,
    -(10**12),
    2**16,
    2**31,
    2**63,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "resnet152",
    "vgg16",
    "\x1b[2J\x07\u202e",
    "x" * 5000,
    [],
    [[]],
    {},
    {"a": {}},
    [0] * 3000,
    {str(n): n for n in range(3000)},
)
