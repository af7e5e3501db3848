"""What people read: the table of a suite in Markdown, with what was counted and what is missing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from lib.params.suite import DENSE, Suite
from lib.tables import differences, worth
from lib.tables.summaries import ALIKE, REFERENCES
from lib.tables.writing import markdown, scaled

TableRow = Mapping[str, Any]
Column = tuple[str, Callable[[TableRow], str]]

NOTES = (
    "Top-1 is that of the test split: mean ± sample standard deviation over seeds (their number); one seed has none. 95 % is "
    "the interval of the mean by Student's t, cut to 0 to 100; equal figures have none.",
    "Pruned is the top-1 on the validation split when pruning leaves nothing more to choose: before any training where masks "
    "are chosen at once, else at the end of the pruning.",
    "Rank is among the rows of one keep ratio and distiller: 1 + the number of those that are significantly better, corrected "
    "by Holm for all pairs of ranked rows. All rows than which none is significantly better have rank 1. Rank of distiller is "
    "the same among the rows of one method and keep ratio, and corrected for its own pairs.",
    "Best for names the costs for which no other row so named is cheaper and as accurate, or as cheap and more accurate "
    "(Pareto front): macs; bytes, those of the encoded file with its accuracy, where sizes within "
    f"{100 * ALIKE:g} % count as equal. A cost that all rows share is not named. The accuracies are means, compared without a "
    "test.",
    "Ranks and Best for compare rows on the same seeds, those on which most networks can be compared: a rank among its rows, "
    "Best for in the whole table. A row that lacks one of these seeds is left out.",
    "FLOPs (MACs) are multiply-accumulates of the convolutions and linear layers of the compact network, counted from "
    "its real integer shapes. In brackets: how many times fewer than the dense network has.",
    "Every Δ is the mean of differences paired by seed: to the dense network of the same distiller, to the same pruned "
    "network without distillation (none), to the same with logit distillation only (kd). In brackets: the number of pairs "
    "where it is not that of the row's seeds.",
    "dense, scratch (the small shape of uniform pruning, trained from its initialisation) and random (random filters) are "
    "controls.",
    "File is the compact network's in float32, as it can be taken away (k, M: powers of 1000).",
    "Encoded is its file with shared weights, fine-tuned where the parameters say so (`encode.training`), coded without loss; "
    "in brackets how many times smaller than all numbers of the dense network in float32. Its top-1 is that of the network "
    "read back from the file, in brackets the change.",
    "Zeros are the share of zeros among the weights of the compact network. Its dense kernels multiply them like any other "
    "number, so they save neither time nor MACs.",
    "Epochs are all that a row's network has behind it, those of the dense network included. Fine-tuning the encoded one, "
    "where that is done, comes on top.",
)
PUBLISHED_NOTES = {  # each by the column that it is about
    "Source": "Copied from the sources, not run by us: other splits, teachers and budgets, often selected on the test set. "
    "Blank: not given.",
    "Ours": "Ours is the row above of the same method, keep ratio and distiller.",
    "Control": "Control says how far a row may be compared with ours, by the levels of Wang et al., Why is the State of "
    "Neural Network Pruning so Confusing, <https://arxiv.org/abs/2301.05219>, table 2. S1: the same data, network and ratio "
    "(of filters, or within 3 points of MACs) and no more. A claim about a criterion needs S3, as our own rows have it: the "
    "same starting network, epochs and schedule too. Blank: another ratio.",
}
NEAR = 0.03  # share of the dense network's MACs by which two rows may differ and be of one size
NAMES: tuple[Column, ...] = (
    ("Method", lambda row: row["method"]),
    ("Keep ratio", lambda row: _number(row["keep_ratio"], "")),
    ("Distiller", lambda row: row["distiller"]),
)


def table(
    suite: Suite,
    summary: pd.DataFrame,
    compared: pd.DataFrame,
    worths: pd.DataFrame,
    published: pd.DataFrame,
    missing: Mapping[str, Sequence[str]],
) -> str:
    """The suite's table. compared: as comparisons.compare gives it; worths: as worth.overall does. missing: kind of file ->
    names of those wanted and not there.
    """
    axes, lacks = suite.benchmark, set(missing.get("cells", ()))
    seeds = told_seeds(axes.seeds, {cell.seed for cell in suite.cells if cell.key not in lacks})
    setting = f"Teacher: {suite.teacher}. Compaction: {axes.compaction}. Seeds: {seeds}."
    if (there := int(summary["n"].sum())) < len(suite.cells):
        setting += f" So far {there} of {len(suite.cells)} cells are there."
    parts = [
        f"# {suite.name}: {axes.network} on {suite.dataset}",
        shown(_columns(), summary.to_dict("records")),
        "\n".join(f"- {note}" for note in (setting, *NOTES)),
        *([differences.section(compared)] if len(compared) else []),
        *([worth.section(worths)] if len(worths) else []),
        *([_published(summary, published)] if len(published) else []),
        *absent(missing),
    ]
    return "\n\n".join(parts) + "\n"


def told_seeds(wanted: Sequence[int], there: Collection[int]) -> str:
    """The seeds that are there, and where some are not, all that are wanted."""
    own = ", ".join(str(seed) for seed in wanted if seed in there) or "none"
    return own if set(wanted) <= set(there) else f"{own} (of {', '.join(map(str, wanted))})"


def shown(columns: Sequence[Column], rows: Sequence[TableRow]) -> str:
    """A Markdown table of the columns that say something in at least one row."""
    own = _telling(columns, rows)
    return markdown([head for head, _ in own], [[show(row) for _, show in own] for row in rows])


def _telling(columns: Sequence[Column], rows: Sequence[TableRow]) -> list[Column]:
    return [(head, show) for head, show in columns if any(show(row) for row in rows)]


def absent(missing: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each kind of file of which some are missing: their names."""
    return [f"Missing {line}" for line in lacking(missing)]


def lacking(missing: Mapping[str, Sequence[str]]) -> list[str]:
    """For each kind of file of which some are missing: how many, and which; names that differ in the seed are one."""
    return [f"{kind} ({len(names)}): {', '.join(_together(names))}" for kind, names in missing.items() if names]


def _together(names: Sequence[str]) -> list[str]:
    """l1-0, l1-2, fpgm-1 -> l1-{0,2}, fpgm-1."""
    groups: dict[str, list[str]] = {}
    for name in names:
        row, _, seed = name.rpartition("-")
        groups.setdefault(row, []).append(seed)
    return [f"{row}-{own[0] if len(own) == 1 else '{' + ','.join(own) + '}'}" for row, own in groups.items()]


def _columns() -> list[Column]:
    return [
        *NAMES,
        ("Achieved", lambda row: _number(row["keep_ratio_achieved"], ".3f")),
        ("Top-1 %", lambda row: _spread(row["top1_mean"], row["top1_std"], row["n"])),
        ("95 %", lambda row: _between(row["top1_low"], row["top1_high"])),
        ("Rank", lambda row: _number(row["rank"], ".0f")),
        ("Rank of distiller", lambda row: _number(row["distiller_rank"], ".0f")),
        ("Best for", lambda row: row["best_for"]),
        ("Pruned %", lambda row: _number(row["pruned_top1"], ".2f")),
        ("Top-5 %", lambda row: _number(row["top5"], ".2f")),
        ("Δ dense", lambda row: "" if row["method"] == DENSE else _paired(row, "delta_to_dense", "delta_n")),
        ("Δ none", lambda row: "" if row["distiller"] == "none" else _paired(row, "delta_to_none", "none_n")),
        ("Δ kd", lambda row: "" if row["distiller"] in REFERENCES else _paired(row, "delta_to_kd", "kd_n")),
        ("Params", lambda row: _fewer(row["params"], row["params_ratio"])),
        ("FLOPs (MACs)", macs),
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
        *NAMES,
        ("Start", lambda row: row["start"]),
        ("Top-1 %", lambda row: _spread(row["top1"], row["std"], row["n"])),
        ("Baseline %", lambda row: _number(row["baseline_top1"], ".2f")),
        ("Δ", lambda row: _number(row["top1"] - row["baseline_top1"], "+z.2f")),
        ("FLOPs saved %", lambda row: _number(row["flops_reduction_percent"], ".1f")),
        ("Ours", lambda row: ours.get(_match(row), "")),
        ("Control", lambda row: _control(row, summary)),
        ("Source", lambda row: numbers[row["source"]]),
    ]
    rows = published.to_dict("records")
    heads = [head for head, _ in _telling(columns, rows)]
    notes = [f"- {note}" for head, note in PUBLISHED_NOTES.items() if head in heads]
    for row in sources.to_dict("records"):
        notes.append(f"- {numbers[row['source']]} {row['title']}, <{row['url']}>; FLOPs counted: {row['counting']}.")
    return "\n\n".join(("## Published", shown(columns, rows), "\n".join(notes)))


def _control(row: TableRow, summary: pd.DataFrame) -> str:
    """Whether a published row is of the ratio of one of ours; there is nothing else that the two share."""
    ours = summary[summary["method"] != DENSE]
    near = (ours["macs_ratio"] - row["macs_ratio"]).abs() <= NEAR
    return "S1" if bool(((ours["keep_ratio"] == row["keep_ratio"]) | near).any()) else ""


def _match(row: TableRow) -> tuple[str, float, str]:
    return row["method"], row["keep_ratio"], row["distiller"]


def _number(value: float, spec: str) -> str:
    return "" if pd.isna(value) else f"{value:{spec}}"


def _spread(mean: float, std: float, n: float) -> str:
    """mean ± std (n), leaving out what is not known."""
    return f"{mean:.2f}" + ("" if pd.isna(std) else f" ± {std:.2f}") + ("" if pd.isna(n) else f" ({n:.0f})")


def _between(low: float, high: float) -> str:
    """An interval; blank where there is none."""
    return "" if pd.isna(low) else f"{low:.2f}-{high:.2f}"


def _paired(row: TableRow, difference: str, pairs: str) -> str:
    """A difference, and over how many seeds where some lack a partner."""
    fewer = "" if row[pairs] in (0, row["n"]) else f" ({row[pairs]:.0f})"
    return _number(row[difference], "+z.2f") + fewer


def _fewer(value: float, ratio: float) -> str:
    return scaled(value) + ("" if pd.isna(ratio) else f" ({1 / ratio:.2f}×)")  # noqa: RUF001


def _encoded_top1(row: TableRow) -> str:
    """And in brackets what encoding changed, the mean of differences paired by seed."""
    change = _number(row["encoded_change"], "+z.2f")
    return change and f"{row['encoded_top1']:.2f} ({change})"


def _encoded(row: TableRow) -> str:
    return f"{scaled(row['encoded_bytes'])}B ({row['encoded_ratio']:.1f}×)"  # noqa: RUF001


def macs(row: TableRow) -> str:
    """Multiply-accumulates, and how many times fewer than the dense network has."""
    return _fewer(row["macs"], row["macs_ratio"])
