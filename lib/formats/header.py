"""What a file says in JSON of its network and images, read as if somebody meant harm: every size is bounded, nothing is built.

The formats add fields of their own. A network is only outlined: its modules and shapes exist, its tensors do not, so the sizes
in a header can be compared with what the file really holds before any memory is taken.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from lib.networks.architecture import Architecture, Mode
from lib.networks.network import described
from lib.params.named import BUILDER

LONGEST = 2**21  # bytes of a header: three times that of the deepest network here
WIDEST, LARGEST_SIDE = 2**16, 2**13  # channels or classes, pixels: far above what any network here has
LONGEST_ARGUMENTS = 2**12  # characters of a builder's arguments
MOST_KEYS, DEEPEST = 2**12, 32  # of one JSON object, of the nesting
SHOWN = 800  # characters of a reason

Width = Annotated[int, Field(ge=1, le=WIDEST)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Mean = Annotated[float, Field(ge=-1e4, le=1e4)]  # of pixels in 0..1, whatever scale a foreign network wants
Deviation = Annotated[float, Field(ge=1e-6, le=1e4)]
Channels = Field(strict=False, max_length=WIDEST)


class Record(BaseModel):
    """A JSON object with known keys, strictly typed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Dense(Record):
    """An architecture without what is kept of it. name: of its builder; arguments: what that is told, as JSON."""

    name: Annotated[str, Field(max_length=200, pattern=BUILDER)]
    num_classes: Width
    in_channels: Width
    size: Annotated[tuple[Side, Side], Field(strict=False)]
    arguments: dict[str, Any]

    @model_validator(mode="after")
    def _few_arguments(self) -> "Dense":
        if len(text(self.arguments)) > LONGEST_ARGUMENTS:
            msg = f"the builder's arguments have more than {LONGEST_ARGUMENTS} characters"
            raise ValueError(msg)
        return self

    def architecture(self) -> Architecture:
        """The dense architecture."""
        return Architecture(self.name, self.num_classes, self.in_channels, self.size).with_arguments(self.arguments)


class Images(Record):
    """What a network was trained on: shape (C, H, W), mean and std of each channel; and notes."""

    shape: Annotated[tuple[Width, Side, Side], Field(strict=False)]
    mean: Annotated[tuple[Mean, ...], FailFast(), Channels]
    std: Annotated[tuple[Deviation, ...], FailFast(), Channels]
    notes: dict[str, Any]

    @model_validator(mode="after")
    def _one_for_each_channel(self) -> "Images":
        if not self.shape[0] == len(self.mean) == len(self.std):
            msg = f"{self.shape[0]} channels need as many means and deviations, got {len(self.mean)} and {len(self.std)}"
            raise ValueError(msg)
        return self


R = TypeVar("R", bound=Record)


def checked(document: Mapping[str, Any], kind: type[R]) -> R:
    """A JSON object as a record. Raises ValueError that says what is wrong, key by key."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise ValueError(_reasons(error)) from error


def document(text: str | bytes) -> dict[str, Any]:
    """The JSON object of a header. Raises ValueError for anything else, and for one larger or deeper than any should be."""
    if len(text) > LONGEST:
        msg = f"its header has {len(text):,} bytes, at most {LONGEST:,} are read"
        raise ValueError(msg)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_number, parse_float=_number)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"its header is no JSON: {shown(str(error))}"
        raise ValueError(msg) from error
    if not isinstance(value, dict) or _deeper(value, DEEPEST):
        msg = f"its header is no JSON object, or is nested more than {DEEPEST} deep"
        raise ValueError(msg)
    return value


def text(document: Mapping[str, Any]) -> str:
    """A header as JSON, always the same for the same values."""
    return json.dumps(document, sort_keys=True)


def check_channels(network: Dense, images: Images) -> None:
    """Raise ValueError unless a network reads as many channels as its images have."""
    if network.in_channels != images.shape[0]:
        msg = f"the network reads {network.in_channels} channels, its images have {images.shape[0]}"
        raise ValueError(msg)


def compacted(dense: Architecture, record: Mapping[str, Any], mode: Mode, part: str) -> Architecture:
    """The architecture that keeps listed filters. Raises ValueError unless they fit the layers of the dense one."""
    widths = {name: layer.width for name, layer in described(dense).layers.items()}
    return dense.with_kept(indices(record, widths, part), mode)


def dense_record(architecture: Architecture) -> dict[str, Any]:
    """A dense architecture as the JSON of `Dense`."""
    return {
        "name": architecture.name,
        "num_classes": architecture.num_classes,
        "in_channels": architecture.in_channels,
        "size": list(architecture.size),
        "arguments": architecture.told,
    }


def indices(record: Mapping[str, Any], widths: Mapping[str, int], part: str) -> dict[str, tuple[int, ...]]:
    """Kept indices by name, in ascending order and below a width each. Raises ValueError for anything else."""
    if record.keys() != widths.keys():
        lacks, odd = _few(widths.keys() - record.keys()), _few(record.keys() - widths.keys())
        msg = f"{part} must name every layer of the network and no other; missing: {lacks}; unknown: {odd}"
        raise ValueError(msg)
    for name, listed in record.items():
        whole = isinstance(listed, list) and all(type(index) is int for index in listed)
        if not (whole and listed and listed[0] >= 0 and listed == sorted(set(listed)) and listed[-1] < widths[name]):
            msg = f"{part} of {name} must be ascending numbers from 0 to {widths[name] - 1}, got {shown(repr(listed), 100)}"
            raise ValueError(msg)
    return {name: tuple(listed) for name, listed in record.items()}


def shown(text: str, most: int = SHOWN) -> str:
    """A text out of a file, cut, and with what a terminal would act on escaped."""
    printable = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[:most])
    return printable[:most] + "…" * (len(text) > most or len(printable) > most)


def _few(names: Iterable[str]) -> str:
    return shown(", ".join(shown(name, 60) for name in sorted(names)[:5]) or "none", 300)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs) or len(made) > MOST_KEYS:
        msg = f"its header has an object of {len(pairs)} keys, {len(made)} of them different, at most {MOST_KEYS} are read"
        raise ValueError(msg)
    return made


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"its header holds {shown(text, 60)}, which is no finite number"
        raise ValueError(msg)
    return value


def _deeper(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth == 0 or any(_deeper(item, depth - 1) for item in inner)


def _reasons(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False)[:3]:
        place = shown(".".join(map(str, problem["loc"])) or "header", 100)
        lines.append(f"{place}: {shown(problem['msg'], 200)}, got {shown(repr(problem['input']), 100)}")
    return "its header is wrong at " + "; ".join(lines)
