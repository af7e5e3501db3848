"""What people read: the table of a suite and its latencies in Markdown, with what was counted and what is missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from lib.params.suite import DENSE, Suite
from lib.tables.summaries import REFERENCES
from lib.tables.writing import markdown, scaled

TableRow = Mapping[str, Any]
Column = tuple[str, Callable[[TableRow], str]]

NOTES = (
    "Top-1 is that of the test split: mean ± sample standard deviation over seeds (their number); one seed has none.",
    "FLOPs (MACs) are multiply-accumulates of the convolutions and linear layers of the compact network, counted from "
    "its real integer shapes. In brackets: how many times fewer than the dense network has.",
    "Every Δ is the mean of differences paired by seed: to the dense network of the same distiller, to the same pruned "
    "network without distillation (none), to the same with logit distillation only (kd).",
    "dense, scratch (the small shape of uniform pruning, trained from its initialisation) and random (random filters) are "
    "controls.",
    "File is the compact network's in float32, as it can be taken away (k, M: powers of 1000).",
    "Encoded is its file with shared weights, fine-tuned (`encode` in the parameters), coded without loss; in brackets how "
    "many times smaller than all numbers of the dense network in float32. Its top-1 is that of the network read back from the "
    "file, in brackets the change.",
    "Zeros are the share of zeros among the weights of the compact network. Its dense kernels multiply them like any other "
    "number, so they save neither time nor MACs.",
    "Epochs are all that a row's network has behind it, those of the dense network included; tuning the encoded one comes on "
    "top.",
)
PUBLISHED_NOTES = (
    "Copied from the sources, not run by us: other splits, teachers and budgets, often selected on the test set.",
    "Ours is the row above of the same method, keep ratio and distiller. Blank: not given.",
)


def table(suite: Suite, summary: pd.DataFrame, published: pd.DataFrame, missing: Mapping[str, Sequence[str]]) -> str:
    """The suite's table. missing: kind of file -> names of those wanted and not there."""
    axes = suite.benchmark
    setting = f"Teacher: {suite.teacher}. Compaction: {axes.compaction}. Seeds: {', '.join(map(str, axes.seeds))}."
    parts = [
        f"# {suite.name}: {axes.network} on {suite.dataset}",
        _table(_columns(), summary),
        "\n".join(f"- {note}" for note in (setting, *NOTES)),
        *([_published(summary, published)] if len(published) else []),
        *_absent(missing),
    ]
    return "\n\n".join(parts) + "\n"


def latency(suite: Suite, wide: pd.DataFrame, machine: Mapping[str, str], missing: Sequence[str]) -> str:
    """The latencies as measured, beside what the MACs promise. wide: as text.wide_latency gives it."""
    timed = [name.removesuffix("_ms") for name in wide.columns if name.endswith("_ms") and "_q" not in name]
    columns = [*_NAMES[:2], ("Seed", lambda row: f"{row['seed']}"), ("FLOPs (MACs)", _macs)]
    columns += [(_timed_head(name), _timing(name, wide)) for name in timed]
    device = "; ".join(f"{name}: {text}" for name, text in machine.items()) or "not recorded"
    notes = (
        "- Median (first to third quartile) in ms a batch; in square brackets how many times faster than dense.",
        "- Networks of equal widths share one timing: which filters were kept makes no difference to the clock.",
        "- Clocks do not repeat: these figures are no part of what `dvc repro` reproduces.",
        f"- Measured on: {device}.",
    )
    body = _table(columns, wide) if len(wide) else "No latency has been measured yet; measure it with: `dvc repro`"
    parts = [f"# {suite.name}: latency", body, "\n".join(notes), *_absent({"latencies": missing})]
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[Column], rows: pd.DataFrame) -> str:
    """A Markdown table of the columns that say something in at least one row."""
    records = rows.to_dict("records")
    shown = [(head, show) for head, show in columns if any(show(row) for row in records)]
    return markdown([head for head, _ in shown], [[show(row) for _, show in shown] for row in records])


def _columns() -> list[Column]:
    return [
        *_NAMES,
        ("Achieved", lambda row: _number(row["keep_ratio_achieved"], ".3f")),
        ("Top-1 %", lambda row: _spread(row["top1_mean"], row["top1_std"], row["n"])),
        ("Top-5 %", lambda row: _number(row["top5"], ".2f")),
        ("Δ dense", lambda row: "" if row["method"] == DENSE else _paired(row)),
        ("Δ none", lambda row: "" if row["distiller"] == "none" else _number(row["delta_to_none"], "+z.2f")),
        ("Δ kd", lambda row: "" if row["distiller"] in REFERENCES else _number(row["delta_to_kd"], "+z.2f")),
        ("Params", lambda row: _fewer(row["params"], row["params_ratio"])),
        ("FLOPs (MACs)", _macs),
        ("Zeros", lambda row: "" if _number(row["sparsity"], ".3f") in ("", "0.000") else f"{row['sparsity']:.1%}"),
        ("File", lambda row: _number(row["bytes"], "") and f"{scaled(row['bytes'])}B"),
        ("Encoded", lambda row: "" if pd.isna(row["encoded_bytes"]) else _encoded(row)),
        ("Top-1 % encoded", _encoded_top1),
        ("Epochs", lambda row: _number(row["epochs"], ".0f")),
    ]


def _published(summary: pd.DataFrame, published: pd.DataFrame) -> str:
    """The published rows with their sources numbered beneath, and ours of the same method, keep ratio and distiller."""
    sources = published.drop_duplicates("source")
    numbers = {name: f"[{number}]" for number, name in enumerate(sources["source"], start=1)}
    ours = {_match(row): _spread(row["top1_mean"], row["top1_std"], row["n"]) for row in summary.to_dict("records")}
    columns: list[Column] = [
        *_NAMES,
        ("Start", lambda row: row["start"]),
        ("Top-1 %", lambda row: _spread(row["top1"], row["std"], row["n"])),
        ("Baseline %", lambda row: _number(row["baseline_top1"], ".2f")),
        ("Δ", lambda row: _number(row["top1"] - row["baseline_top1"], "+z.2f")),
        ("FLOPs saved %", lambda row: _number(row["flops_reduction_percent"], ".1f")),
        ("Ours", lambda row: ours.get(_match(row), "")),
        ("Source", lambda row: numbers[row["source"]]),
    ]
    notes = [f"- {note}" for note in PUBLISHED_NOTES]
    for row in sources.to_dict("records"):
        notes.append(f"- {numbers[row['source']]} {row['title']}, <{row['url']}>; FLOPs counted: {row['counting']}.")
    return "\n\n".join(("## Published", _table(columns, published), "\n".join(notes)))


def _absent(missing: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"Missing {kind} ({len(names)}): {', '.join(names)}" for kind, names in missing.items() if names]


def _match(row: TableRow) -> tuple[str, float, str]:
    return row["method"], row["keep_ratio"], row["distiller"]


def _number(value: float, spec: str) -> str:
    return "" if pd.isna(value) else f"{value:{spec}}"


def _spread(mean: float, std: float, n: float) -> str:
    """mean ± std (n), leaving out what is not known."""
    return f"{mean:.2f}" + ("" if pd.isna(std) else f" ± {std:.2f}") + ("" if pd.isna(n) else f" ({n:.0f})")


def _paired(row: TableRow) -> str:
    """The difference to dense, and over how many seeds where some lack a dense partner."""
    pairs = "" if row["delta_n"] in (0, row["n"]) else f" ({row['delta_n']:.0f})"
    return _number(row["delta_to_dense"], "+z.2f") + pairs


def _fewer(value: float, ratio: float) -> str:
    return scaled(value) + ("" if pd.isna(ratio) else f" ({1 / ratio:.2f}×)")  # noqa: RUF001


def _encoded_top1(row: TableRow) -> str:
    """And in brackets what encoding changed, the mean of differences paired by seed."""
    change = _number(row["encoded_change"], "+z.2f")
    return change and f"{row['encoded_top1']:.2f} ({change})"


def _encoded(row: TableRow) -> str:
    return f"{scaled(row['encoded_bytes'])}B ({row['encoded_ratio']:.1f}×)"  # noqa: RUF001


def _macs(row: TableRow) -> str:
    return _fewer(row["macs"], row["macs_ratio"])


def _three(value: float) -> str:
    """Three significant digits, trailing zeros kept."""
    return f"{value:#.3g}".removesuffix(".")


def _timed_head(name: str) -> str:
    variant, batch = name.rsplit("_b", 1)
    return f"{variant}, batch {batch}"


def _timing(name: str, wide: pd.DataFrame) -> Callable[[TableRow], str]:
    dense = wide.loc[wide["method"] == DENSE, f"{name}_ms"]

    def show(row: TableRow) -> str:
        median, low, high = (row[f"{name}{part}_ms"] for part in ("", "_q25", "_q75"))
        if pd.isna(median):
            return ""
        speedup = f" [{dense.iloc[0] / median:.2f}×]" if len(dense) else ""  # noqa: RUF001
        return f"{_three(median)} ({_three(low)} to {_three(high)}){speedup}"

    return show


_NAMES: tuple[Column, ...] = (
    ("Method", lambda row: row["method"]),
    ("Keep ratio", lambda row: _number(row["keep_ratio"], "")),
    ("Distiller", lambda row: row["distiller"]),
)
