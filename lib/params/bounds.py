"""The types that settings are made of: numbers with bounds, names that are safe in paths and commands, references.

The bounds are far outside of what makes sense and inside of what a machine survives. A setting that needs others says so
where it stands.
"""

from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from lib.params.shown import listed, shown

T = TypeVar("T")
RULE: Final = "rule"  # the type of a problem whose message is whole

# Text. DVC writes names into paths and into the commands of a shell.
NAME, SHA256, PLACE = r"^[a-z0-9][a-z0-9_-]*$", r"^[0-9a-f]{64}$", r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
SAID = {  # what a pattern allows
    NAME: "lower-case letters, digits, - and _, a letter or digit first",
    SHA256: "the 64 hexadecimal digits that sha256sum prints",
    PLACE: "a path or URL, not empty and without control characters",
}
Name = Annotated[str, Field(pattern=NAME, max_length=64)]
Pattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*?\[\]!-]+$", max_length=200)]  # of names of layers
Place = Annotated[str, Field(pattern=PLACE, max_length=4000)]
Sha256 = Annotated[str, Field(pattern=SHA256)]

# Whole numbers.
Epochs = Annotated[int, Field(ge=1, le=10_000)]
EpochsOrNone = Annotated[int, Field(ge=0, le=10_000)]
Steps = Annotated[int, Field(ge=0, le=100_000_000)]
Every = Annotated[int, Field(ge=1, le=1_000_000)]  # epochs or steps from one event to the next
Images = Annotated[int, Field(ge=1, le=100_000_000)]
Calibration = Annotated[int, Field(ge=2, le=100_000_000)]  # images to estimate batch norms by, which need two
Size = Annotated[int, Field(ge=1, le=65_536)]  # images of a mini-batch, filters of a layer
Width = Annotated[int, Field(ge=1, le=4_096)]  # of what a term adds
Few = Annotated[int, Field(ge=1, le=1_000)]  # layers, blocks, windows
Seed = Annotated[int, Field(ge=0, lt=2**32)]

# Real numbers; infinities and NaN are refused everywhere (`section`).
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]  # of which something must be left
Inside = Annotated[float, Field(gt=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=100.0)]  # a learning rate
Factor = Annotated[float, Field(gt=0.0, le=1_000.0)]
Weight = Annotated[float, Field(ge=0.0, le=1e9)]  # of a term of a loss
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]
Duration = Annotated[float, Field(ge=0.0, le=10_000.0)]  # epochs, not only whole ones


def _once(values: tuple[T, ...]) -> tuple[T, ...]:
    """Each value stands once: values name cells and files, and DVC would merge two that are equal."""
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise PydanticCustomError(RULE, "has {value} more than once; write each value once", {"value": shown(twice[0])})
    return values


Once = AfterValidator(_once)


def known(kind: str, cure: str = "") -> AfterValidator:
    """A validator of names that must stand elsewhere in the file: `Annotated[Name, known("term")]`.

    Where the whole file is checked, the context of the validation holds the names of each kind; a stage that reads only its
    own section has no context, and nothing to compare with. cure: what else can be done about a name that is not there.
    """

    def check(name: str, info: ValidationInfo) -> str:
        if info.context is not None and name not in info.context[kind]:
            allowed = listed(info.context[kind])
            text = "is {name}, which is not there; allowed: {allowed}{cure}"
            raise PydanticCustomError(RULE, text, {"name": shown(name), "allowed": allowed, "cure": cure})
        return name

    return AfterValidator(check)


MethodName = Annotated[Name, known("method")]
TermName = Annotated[Name, known("term")]
DistillerName = Annotated[Name, known("distiller")]
NetworkName = Annotated[Name, known("network")]
TrainedName = Annotated[Name, known("trained", " (others: add them to benchmark.trained)")]
