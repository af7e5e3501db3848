"""The charts of a report, as Vega-Lite by Altair: they answer to the pointer, and hold their own data."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from lib.params.suite import DENSE, Suite
from lib.plots import drawing, places
from lib.tables import kept_filters, summaries

HEIGHT, ROW = 320, 18  # pixels of a chart, of a line of one
SEEDS = 3  # that an interval takes to be drawn: Student's of two has one degree of freedom and dwarfs all else
DIFFERS, DOES_NOT = "#117733", "#a8a8a8"
KEPT, DROPPED = "#3388cc", "#eeeeee"
SHAPES = {  # of Vega, where it has one, for each marker of the pictures; else the outline, from -1 to 1
    **{"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"},
    "X": "M-1-.5L-.5-1 0-.5 .5-1 1-.5 .5 0 1 .5 .5 1 0 .5-.5 1-1 .5-.5 0Z",
    "p": "M0-1L.95-.31 .59 .81-.59 .81-.95-.31Z",
    "h": "M0-1L.87-.5 .87 .5 0 1-.87 .5-.87-.5Z",
    **{"<": "triangle-left", ">": "triangle-right"},
}
TITLES = {"trained": "Training of the whole network", "pruned": "Pruning", "distilled": "Distillation"}


class Chart(NamedTuple):
    """name: of its place in the page. words: what it shows."""

    name: str
    title: str
    words: str
    spec: Mapping[str, Any]


class Cost(NamedTuple):
    """A column of the summary, its words on the axis and in a title, and the column of the accuracy that it is set against."""

    column: str
    axis: str
    title: str
    top1: str


MACS = Cost("macs", "FLOPs (MACs)", "Accuracy against MACs", "top1_mean")
BYTES = Cost("encoded_bytes", "bytes of the packed file", "Accuracy of the packed file against its bytes", "encoded_top1")
TIME = Cost("median_ms", "time, ms", "Accuracy against time", "top1_mean")


def charts(suite: Suite, timed: pd.DataFrame, compared: pd.DataFrame, logs: pd.DataFrame, kept: pd.DataFrame) -> list[Chart]:
    """All charts for which there is something to show. timed: the summary, with median_ms."""
    narrow = _narrow(timed, "top1_low", "top1_high")
    found = [_accuracy(suite, narrow, cost) for cost in (MACS, TIME, BYTES) if timed[cost.column].notna().any()]
    found += [_differences(rows, name) for name, rows in compared.groupby("reference", sort=False)]
    for stage in TITLES:
        validated = logs[(logs["stage"] == stage) & logs["validation_top1"].notna()]
        found += _curves(suite, validated, stage) if len(validated) else []
    if len(kept):
        found += [_shares(kept), _filters(kept, int(kept["seed"].iloc[0]))]
    return found


def _accuracy(suite: Suite, summary: pd.DataFrame, cost: Cost) -> Chart:
    rows = summary.dropna(subset=[cost.column, cost.top1]).assign(top1=lambda frame: frame[cost.top1])
    ends = _ends(rows) if cost.top1 == "top1_mean" else ()
    costs = [*rows[cost.column], *([summaries.dense_macs(rows)] if cost is MACS else [])]
    domain = places.limits(costs, places.LEAST * max(costs))
    place = places.beside(suite, rows["distiller"], rows[cost.column], domain, None if ends else rows["top1"])
    columns = ["method", "keep_ratio", "distiller", "top1", "top1_low", "top1_high", "n", cost.column, "place"]
    picks = [alt.selection_point(name, fields=[name], bind="legend") for name in ("method", "distiller")]
    base = alt.Chart(_known(rows.assign(place=place)[columns])).encode(
        x=alt.X("place:Q", title=cost.axis, scale=alt.Scale(domain=domain, nice=False, zero=False)),
        color=_colour("method", drawing.of_suite(suite, rows["method"])),
        opacity=alt.condition(picks[0] & picks[1], alt.value(1.0), alt.value(0.12)),
    )
    axis = alt.Y("top1:Q", title="Top-1 on the test split (%)", scale=alt.Scale(zero=False))
    markers = drawing.markers_of_suite(suite, rows["distiller"])
    shapes = alt.Scale(domain=list(markers), range=[SHAPES[marker] for marker in markers.values()])
    shape = alt.Shape("distiller:N", scale=shapes)
    names = ("method:N", "keep_ratio:N", "distiller:N")
    tips = [*names, alt.Tooltip("top1:Q", format=".2f"), *ends, f"{cost.column}:Q", "n:Q"]
    points = base.mark_point(filled=True, size=60).encode(y=axis, shape=shape, tooltip=tips).add_params(*picks)
    rules = [base.mark_rule().encode(y=alt.Y("top1_low:Q", title=""), y2="top1_high:Q")] if ends else []
    made = alt.layer(*rules, points).properties(width="container", height=HEIGHT)
    words = "Some marks stand beside their true place, to hide no other: point at one for its figures. "
    words += "Choose a method or a distiller in the legend." + (" Lines are 95 % intervals over seeds." if ends else "")
    return Chart(f"accuracy-{cost.column}", cost.title, words, made.to_dict())


def _differences(compared: pd.DataFrame, reference: str) -> Chart:
    names = compared[["method", "keep_ratio", "distiller"]].astype(str).agg(" ".join, axis=1)
    rows = compared.assign(row=names, told=compared["differs"].map({True: "differs", False: "not told apart"}))
    shown = _narrow(rows, "low", "high")[["row", "difference", "low", "high", "better", "worse", "p", "p_holm", "told", "n"]]
    colour = alt.Color("told:N", title="", scale=alt.Scale(domain=["differs", "not told apart"], range=[DIFFERS, DOES_NOT]))
    tips: list[alt.Tooltip | str] = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("difference", "low", "high")]
    tips += [*(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("p", "p_holm")), "better:Q", "worse:Q", "n:Q"]
    base = alt.Chart(_known(shown)).encode(y=alt.Y("row:N", title="", sort=None), color=colour)
    points = base.mark_point(filled=True, size=70).encode(
        x=alt.X("difference:Q", title=f"Points of top-1 more than {reference}"), tooltip=["row:N", *tips]
    )
    zero = alt.Chart().mark_rule(color="#555555").encode(x=alt.datum(0))
    layers = [zero, points]
    if shown["low"].notna().any():
        layers.insert(1, base.mark_rule().encode(x=alt.X("low:Q", title=""), x2="high:Q"))
    made = alt.layer(*layers).properties(width="container", height=ROW * len(shown))
    words = "Differences paired by seed. Green: McNemar's test, corrected by Holm, is below 5 %. "
    if len(layers) > len((zero, points)):
        words += "Lines are 95 % intervals over seeds. "
        words += "The colour is about these networks, the line about other seeds; a green line may cross zero."
    return Chart(f"differences-{reference}", f"Against {reference}", words, made.to_dict())


def _curves(suite: Suite, logs: pd.DataFrame, stage: str) -> list[Chart]:
    """The runs of a stage, on one range of accuracies: distilled ones in a chart a distiller, or a method where these
    are fewer.
    """
    numbers = logs.assign(**{name: pd.to_numeric(logs[name]) for name in ("epoch", "loss", "train_top1", "validation_top1")})
    shown = numbers[["run", "method", "keep_ratio", "distiller", "seed", "epoch", "loss", "train_top1", "validation_top1"]]
    span = [shown["validation_top1"].min(), shown["validation_top1"].max()]
    if stage != "distilled":
        return [_chart_of_runs(suite, shown, span, "method", f"curves-{stage}", TITLES[stage])]
    panel, line = drawing.panel_and_line(suite)
    names = {"distiller": suite.benchmark.distillers, "method": (DENSE, *suite.benchmark.methods)}[panel]
    return [
        _chart_of_runs(suite, shown[shown[panel] == name], span, line, f"curves-{stage}-{name}", f"{TITLES[stage]}: {name}")
        for name in names
        if (shown[panel] == name).any()
    ]


def _chart_of_runs(suite: Suite, runs: pd.DataFrame, span: Sequence[float], line: str, name: str, title: str) -> Chart:
    """line: whether colours are methods or distillers."""
    colours = drawing.of_suite if line == "method" else drawing.of_distillers
    pick = alt.selection_point(fields=[line], bind="legend")
    made = (
        alt.Chart(_known(runs))
        .mark_line(point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("validation_top1:Q", title="Validation top-1 (%)", scale=alt.Scale(domain=span, nice=True)),
            color=_colour(line, colours(suite, runs[line])),
            detail="run:N",
            opacity=alt.condition(pick, alt.value(0.9), alt.value(0.08)),
            tooltip=["run:N", "epoch:Q", alt.Tooltip("validation_top1:Q", format=".2f"), alt.Tooltip("loss:Q", format=".3f")],
        )
        .add_params(pick)
        .properties(width="container", height=HEIGHT)
    )
    return Chart(name, title, f"A line a run; choose a {line} in the legend.", made.to_dict())


def _shares(kept: pd.DataFrame) -> Chart:
    """The share of each layer's filters that stays, the mean over seeds."""
    rows = kept.assign(row=_row(kept), share=kept["kept"] / kept["filters"])
    shown = rows.groupby(["row", "layer"], sort=False).agg(share=("share", "mean"), filters=("filters", "first")).reset_index()
    made = (
        alt.Chart(_known(shown))
        .mark_rect()
        .encode(
            x=alt.X("layer:N", sort=None, title="", axis=alt.Axis(labelAngle=-60)),
            y=alt.Y("row:N", sort=None, title=""),
            color=alt.Color("share:Q", title="stays", scale=alt.Scale(scheme="viridis", domain=[0, 1])),
            tooltip=["row:N", "layer:N", alt.Tooltip("share:Q", format=".1%"), "filters:Q"],
        )
        .properties(width="container", height=ROW * shown["row"].nunique())
    )
    return Chart("shares", "What stays of each layer", "The share of the filters that stay, mean over seeds.", made.to_dict())


def _filters(kept: pd.DataFrame, seed: int) -> Chart:
    """Every filter of the network of one seed, a row chosen from a list."""
    own = kept[kept["seed"] == seed]
    records = [
        {
            "row": row,
            "layer": layer,
            "filter": list(range(filters)),
            "stays": [int(index in stays) for index in range(filters)],
        }
        for row, layer, filters, stays in zip(
            _row(own), own["layer"], own["filters"], map(_indices, own["indices"]), strict=True
        )
    ]
    names = list(dict.fromkeys(record["row"] for record in records))
    chosen = alt.selection_point(
        fields=["row"], bind=alt.binding_select(options=names, name="network: "), value=[{"row": names[-1]}]
    )
    made = (
        alt.Chart(alt.Data(values=records))
        .transform_filter(chosen)
        .transform_flatten(["stays", "filter"])
        .mark_rect(stroke="white", strokeWidth=0.4)
        .encode(
            x=alt.X("filter:O", title="filter", axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("layer:N", sort=None, title=""),
            color=alt.Color("stays:O", title="", scale=alt.Scale(domain=[0, 1], range=[DROPPED, KEPT]), legend=None),
            tooltip=["layer:N", "filter:Q", "stays:O"],
        )
        .add_params(chosen)
        .properties(width="container", height=ROW * own["layer"].nunique())
    )
    words = f"Blue filters stay, grey ones go; seed {seed}. Layers from top to bottom, as data flows."
    return Chart("filters", "Every filter", words, made.to_dict())


def _row(kept: pd.DataFrame) -> pd.Series:
    return kept["method"] + " " + kept["keep_ratio"].astype(str)


def _indices(text: str) -> set[int]:
    return set(kept_filters.indices(text))


def _colour(field: str, chosen: Mapping[str, str]) -> alt.Color:
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(chosen), range=list(chosen.values())))


def _narrow(rows: pd.DataFrame, *ends: str) -> pd.DataFrame:
    """The rows without the ends of intervals over fewer than SEEDS seeds."""
    return rows.assign(**{name: rows[name].where(rows["n"] >= SEEDS) for name in ends})


def _ends(shown: pd.DataFrame) -> list[alt.Tooltip]:
    there = [name for name in ("top1_low", "top1_high") if shown[name].notna().any()]
    return [alt.Tooltip(f"{name}:Q", format=".2f") for name in there]


def _known(frame: pd.DataFrame) -> alt.Data:
    """The rows themselves, with null where nothing is known."""
    return alt.Data(values=frame.astype(object).where(frame.notna(), None).to_dict("records"))
