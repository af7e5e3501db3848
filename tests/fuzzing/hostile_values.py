"""Values that no header should hold where they are put."""

from typing import Any

ARGUMENTS: tuple[dict[str, Any], ...] = (  # that no builder of the files' networks takes
    {"hidden": [10**12]},
    {"hidden": [-1]},
    {"hidden": [[[1]]]},
    {"hidden": "abc"},
    {"hidden": 7},
    {"shortcut": 3},
    {"shortcut": "os:system"},
    {"nonsense": 1},
    {"num_classes": 7},
    {"widened": 10**9},
    {"depth": 10**9},
    {"": 0},
    {"self": 1},
    {"x" * 5000: "\x1b[2J"},
)
CODE = ("os:system", "os:system\n", "lib.atomic:write_text", "builtins:exec", "torchvision:get_model", "timm:create_model")
LARGE = (
    "torchvision:vit_h_14",
    "torchvision:regnet_y_128gf",
    "torchvision:vgg19",
    "torchvision:convnext_large",
    "mobilenet_v2",
)

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
