"""Published numbers, kept as data with their sources, to stand beside ours and never to be mistaken for them."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from lib.params.named import named
from lib.params.section import check, read, section
from lib.params.suite import Suite

NUMERIC = ("keep_ratio", "top1", "std", "n", "baseline_top1", "flops_reduction_percent")
SAME_LAYERS: Mapping[str, tuple[object, ...]] = {"shortcut": ("end", "both")}  # arguments of builders: where padding goes

Percent = Annotated[float, Field(ge=0, le=100)]


@section
class Source:
    """Where numbers were read, and how that source counts the FLOPs it says were saved."""

    title: str
    url: Annotated[str, Field(pattern=r"^https://")]
    counting: str


@section
class PublishedRow:
    """One published result. `keep_ratio` and `distiller` are what of ours it is comparable with; None is not given."""

    dataset: str
    network: str
    method: str
    keep_ratio: Annotated[float, Field(gt=0, le=1)] | None
    distiller: str
    start: Literal["scratch", "pretrained", "not stated"]
    top1: Percent
    std: Annotated[float, Field(ge=0)] | None
    n: Annotated[int, Field(gt=0)] | None
    baseline_top1: Percent | None
    flops_reduction_percent: Percent | None
    source: str


def of_suite(document: Mapping[str, Any], params: Mapping[str, Any], wanted: Suite) -> pd.DataFrame:
    """The published rows, see `rows`, of a suite's data set and network; params: its parameters.

    A network that the suite names itself has the rows of what builds it too, where its arguments change no layer.
    """
    network = wanted.benchmark.network
    made = named(params, network)
    same = all(value in SAME_LAYERS.get(name, ()) for name, value in made.arguments.items())
    return rows(document, wanted.dataset, {network, made.builder} if same else {network})


def rows(document: Mapping[str, Any], dataset: str, networks: Collection[str]) -> pd.DataFrame:
    """The published rows of one data set and a network by all its names, least pruned first; there may be none.

    Accuracies are in percent. Adds `macs_ratio` = 1 - reduction / 100 in the source's own counting, and the source's `title`,
    `url`, `counting`.
    Raises ParamsError for a row that is not as PublishedRow says, ValueError for a row whose source is not listed.
    """
    sources, listed = _read(document)
    wanted = [row for row in listed if row.dataset == dataset and row.network in networks]
    columns = [*PublishedRow.__annotations__, "title", "url", "counting"]
    frame = pd.DataFrame([vars(row) | vars(sources[row.source]) for row in wanted], columns=columns)
    frame = frame.astype(dict.fromkeys(NUMERIC, float))
    frame["macs_ratio"] = 1 - frame["flops_reduction_percent"] / 100
    return frame.sort_values(["flops_reduction_percent", "method", "start"], kind="stable", ignore_index=True)


def _read(document: Mapping[str, Any]) -> tuple[dict[str, Source], tuple[PublishedRow, ...]]:
    """All sources by name and all rows, checked together so that one error shows every problem."""
    check(document, {"sources": dict[str, Source], "rows": tuple[PublishedRow, ...]})
    sources = read(document, "sources", dict[str, Source])
    listed = read(document, "rows", tuple[PublishedRow, ...])
    unknown = sorted({row.source for row in listed} - set(sources))
    if unknown:
        msg = f"published rows name the sources {unknown}, expected some of: {', '.join(sorted(sources))}; list them too"
        raise ValueError(msg)
    return sources, listed
