"""A suite: the cells that params.yaml asks for, so that files of cells removed since are never tabulated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from lib.params.bounds import (
    RULE,
    DistillerName,
    MethodName,
    Name,
    NetworkName,
    Once,
    Place,
    Seed,
    Sha256,
    Share,
    TrainedName,
)
from lib.params.section import check, section
from lib.params.section import read as read_section

DENSE = "dense"
DENSE_KEEP_RATIO = 1.0

T = TypeVar("T")
Axis = Annotated[tuple[T, ...], Field(min_length=1, max_length=100), Once]


@section
class Given:
    """A teacher from elsewhere. file: path of its checkpoint. sha256: of the file, so that a changed one is noticed."""

    file: Place
    sha256: Sha256

    def __str__(self) -> str:
        """Its name in tables."""
        return f"{Path(self.file).stem}@{self.sha256[:8]}"


def _kind(teacher: object) -> str:
    return "file" if isinstance(teacher, dict | Given) else "name"


Teacher = Annotated[Annotated[TrainedName, Tag("name")] | Annotated[Given, Tag("file")], Discriminator(_kind)]
Teachers = Axis[Teacher]


def _as_printed(ratio: object) -> object:
    """Keep ratios name files, here and by DVC, which would write 1 where this project writes 1.0."""
    if isinstance(ratio, int) and not isinstance(ratio, bool):
        raise PydanticCustomError(RULE, "is {ratio}; write it as {printed}", {"ratio": ratio, "printed": float(ratio)})
    return ratio


KeepRatio = Annotated[Share, BeforeValidator(_as_printed)]


@section
class Benchmark:
    """The axes of a suite (`benchmark` in params.yaml); dense is no method of the list, its cells are always added.

    network: the one to prune. trained: all that are trained on the data, that one and the distillers' teachers.
    methods: of prune.methods. keep_ratios: shares of the filters of each layer that stay. distillers: of distill.distillers.
    seeds: of everything drawn at random; each has a teacher of its own. compaction: whether layers that write one stream share
    a mask (coupled) or not (scatter).
    """

    network: TrainedName
    trained: Axis[NetworkName]
    methods: Axis[MethodName]
    keep_ratios: Axis[KeepRatio]
    distillers: Axis[DistillerName]
    seeds: Axis[Seed]
    compaction: Literal["scatter", "coupled"]


class Cell(NamedTuple):
    """One trained and measured network of a suite."""

    method: str
    keep_ratio: float
    distiller: str
    seed: int

    @property
    def key(self) -> str:
        """The cell's file name, without its ending, as DVC's matrix writes it."""
        return f"{self.method}-{self.keep_ratio}-{self.distiller}-{self.seed}"

    @property
    def pruned_key(self) -> str:
        """The same without the distiller: names what is made once for all distillers."""
        return f"{self.method}-{self.keep_ratio}-{self.seed}"


@dataclass(frozen=True)
class Suite:
    """What one table is about: a data set, a network, the distillers' teachers and the axes of the comparison."""

    name: str
    dataset: str
    teacher: str
    benchmark: Benchmark

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell that the table should hold: the dense control's first, then methods x keep ratios."""
        axes = self.benchmark
        sizes = [(DENSE, DENSE_KEEP_RATIO), *((method, keep) for method in axes.methods for keep in axes.keep_ratios)]
        return tuple(Cell(*size, distiller, seed) for size in sizes for distiller in axes.distillers for seed in axes.seeds)

    @property
    def timed(self) -> tuple[Cell, ...]:
        """The cells whose latency is measured: one distiller and the first seed, as timings depend on shapes only."""
        first = (self.benchmark.distillers[0], self.benchmark.seeds[0])
        return tuple(cell for cell in self.cells if (cell.distiller, cell.seed) == first)


def read(document: Mapping[str, Any]) -> Suite:
    """The suite that a parameter file describes. Raises ParamsError listing every problem of the sections read."""
    kinds = {"suite": Name, "data.name": Name, "distill.teachers": Teachers, "benchmark": Benchmark}
    check(document, kinds)
    return Suite(
        name=read_section(document, "suite", Name),
        dataset=read_section(document, "data.name", Name),
        teacher=" + ".join(map(str, read_section(document, "distill.teachers", Teachers))),
        benchmark=read_section(document, "benchmark", Benchmark),
    )
