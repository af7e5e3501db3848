"""Data frames as text: CSV for machines, Markdown for people; equal results give equal bytes."""

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from lib.tables import summaries
from lib.tables.results import IDENTITY

MEASURED = (
    *("epochs", "top1", "top5", "params", "macs", "macs_ratio", "sparsity", "bytes", "max_abs_logit_difference"),
    *("encoded_top1", "encoded_bytes", "encoded_ratio"),
)
DETAILS = (
    *("keep_ratio_achieved", "params_ratio", "macs_fractional", "masked_top1", "validation_top1", "pruned_top1", "classes"),
)
PUBLISHED = ("start", "top1_std", "n", "baseline_top1", "counting", "source", "url")
TEXT_COLUMNS = 3

_COUNTS = (
    *("seed", "epochs", "params", "macs", "bytes", "encoded_bytes", "classes", "n", "delta_n", "none_n", "kd_n"),
    *("threads", "batch", "file_bytes", "rank", "distiller_rank", "images", "better", "worse", "spread"),
    *("filters", "kept"),
)
_PERCENTS = (
    *("top1", "top5", "masked_top1", "validation_top1", "pruned_top1", "baseline_top1", "encoded_top1"),
    *("top1_mean", "top1_std", "top1_low", "top1_high", "difference", "low", "high"),
)
_DELTAS = ("delta_to_dense", *(f"delta_to_{name}" for name in summaries.REFERENCES))
_FORMATS: Mapping[str, str] = {
    **dict.fromkeys(_COUNTS, ".0f"),
    **dict.fromkeys((*_PERCENTS, *_DELTAS), "z.4f"),
    **dict.fromkeys(("macs_ratio", "params_ratio", "keep_ratio_achieved", "sparsity"), ".6f"),
    "macs_fractional": ".1f",
    "max_abs_logit_difference": ".3e",
    "keep_ratio": "",
}
_OTHER = ".6g"


def csv(frame: pd.DataFrame) -> str:
    """A frame as CSV, every column in its fixed format, blank where there is no value."""
    texts = {name: [_text(value, _format(name)) for value in frame[name]] for name in frame.columns}
    return str(pd.DataFrame(texts, columns=frame.columns).to_csv(index=False, lineterminator="\n"))


def long_form(cells: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row a cell of ours, in reading order, then one a published result; `origin` tells them apart."""
    ours = summaries.ordered(cells).assign(origin="ours")
    theirs = published.rename(columns={"std": "top1_std"}).assign(origin="published", source=published["title"])
    known = ["origin", *IDENTITY, *MEASURED, *DETAILS]
    extra = sorted(set(ours.columns) - set(known))
    rows = pd.DataFrame([*ours.to_dict("records"), *theirs.to_dict("records")])
    return rows.reindex(columns=[*known, *extra, *PUBLISHED])


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, padded to read as plain text too; the first TEXT_COLUMNS hold words, the others figures."""
    table = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in table)) for column in range(len(header))]
    lines = [_line(row, widths) for row in table]
    rule = ["-" * width if column < TEXT_COLUMNS else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:]])


def scaled(value: float) -> str:
    """A count in three digits with its unit: 41_216 -> `41.2 k`; blank for no value."""
    if math.isnan(value):
        return ""
    value = float(f"{value:.3g}") if value >= 999.5 else value  # first, for 999,950 are 1.00 M
    power = next(power for power in (9, 6, 3, 0) if value >= 10**power or power == 0)
    number = value / 10**power
    digits = 0 if power == 0 else max(0, 2 - int(math.log10(number)))
    return f"{number:.{digits}f} {'kMG'[power // 3 - 1] if power else ''}".strip()


def counted(number: int, what: str) -> str:
    """A number of things: 1 seed, 3 seeds."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _format(name: str) -> str:
    """encoded_bytes_..., encoded_stream_bytes: parts of a file, whole bytes as the file has."""
    return ".0f" if name.startswith("encoded_") and "bytes" in name else _FORMATS.get(name, _OTHER)


def _text(value: object, spec: str) -> str:
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else format(value, spec)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) if column < TEXT_COLUMNS else cell.rjust(width)
              for column, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
    return f"| {' | '.join(padded)} |"
