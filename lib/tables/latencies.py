"""The latencies of a suite for people: speed-ups beside what the MACs promise, then files and memory, in Markdown."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from lib.params.suite import DENSE, Suite
from lib.tables.reports import NAMES, Column, TableRow, absent, macs, shown
from lib.tables.summaries import pareto
from lib.tables.timings import NETWORK
from lib.tables.writing import scaled

Accuracies = Mapping[tuple[str, float], float]  # mean top-1 of the best distiller, by method and keep ratio
NOTHING = "No latency has been measured yet"
MEASURE = "measure it with: `dvc repro`"
NOTES = (
    "Speed-up is how many times as fast as the dense network in the same runtime, with the same threads and batch size: its "
    "median time over that of the row, in brackets the 95 % bootstrap interval. The row of dense gives its median in ms.",
    "FLOPs (MACs): in brackets how many times fewer than the dense network has, which is the speed-up in step with the MACs.",
    "Best for time names the batch sizes for which no row is faster and as accurate, or as fast and more accurate "
    "(with its best distiller).",
    "Fastest is the runtime in which the dense network takes the least time, of those that compute the trained network: 8-bit "
    "integers compute another one.",
    "What is timed is the form that ships: compact, batch norms folded into the convolutions, without a scatter. The first "
    "seed of each method and keep ratio is timed. `latency.csv` has all figures.",
    "Peak is by how much the process that runs the network grows at most, where the system tells it.",
    "Clocks do not repeat: these figures are no part of what `dvc repro` reproduces.",
)
ASKED = (
    "Asked is the share of the dense network's time that pruning was to reach (`prune.layers.allocation`), achieved the share "
    "measured: 1 over the speed-up."
)
FASTEST = "## In the fastest runtime"  # how the heading of the table in short begins
FIRST: tuple[Column, ...] = (*NAMES[:2], ("FLOPs (MACs)", macs))


def report(
    suite: Suite,
    timed: pd.DataFrame,
    machine: Mapping[str, str],
    missing: Sequence[str],
    accuracies: Accuracies,
    shared: Iterable[tuple[str, str]] = (),
    elsewhere: Sequence[str] = (),
) -> str:
    """All tables of speed-ups, each for a thread count and batch size. timed: as timings.beside_macs gives it. shared: names
    of networks that were not timed themselves, each with the one of the same shapes that was. elsewhere: those not here.
    """
    device = "; ".join(f"{name}: {text}" for name, text in machine.items()) or "not recorded"
    asked = [ASKED] if timed["asked_share"].notna().any() else []
    alike = [f"Of the same shapes as {name}, and not timed apart: {', '.join(others)}." for name, others in _by_timed(shared)]
    notes = [*NOTES, *asked, *alike, f"Measured on: {device}."]
    tables = _tables(timed, accuracies) if len(timed) else [_nothing(elsewhere)]
    listed = "\n".join(f"- {note}" for note in notes)
    return "\n\n".join([f"# {suite.name}: latency", *tables, listed, *absent({"latencies": missing})]) + "\n"


def _nothing(elsewhere: Sequence[str]) -> str:
    if not elsewhere:
        return f"{NOTHING}; {MEASURE}"
    told = f"{NOTHING}. All networks to be timed must be on one machine; not on this one: {', '.join(elsewhere)}."
    return f"{told} When they are here, {MEASURE}"


def _by_timed(shared: Iterable[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for name, timed in shared:
        found.setdefault(timed, []).append(name)
    return found.items()


def fastest_times(timed: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The runtime in which dense is fastest, with the fewest threads and the smallest batch, in words; and the timings there,
    a row a network. Both are empty where nothing was timed.
    """
    if timed.empty:
        return "", timed
    alone = fewest_threads(timed)
    alone = alone[alone["batch"] == alone["batch"].min()]
    rows = alone[alone["runtime"] == _fastest(alone)]
    setting = f"{rows['runtime'].iloc[0]}, {in_threads(rows['threads'].iloc[0])}, batch {rows['batch'].iloc[0]}"
    return setting, rows


class Line(NamedTuple):
    """What a network's time is, in words; and which one was timed."""

    text: str
    seed: int
    macs: float


def lines(timed: pd.DataFrame, machine: Mapping[str, str]) -> dict[tuple[str, float], Line]:
    """A line a network, by method and keep ratio, of `fastest_times`."""
    setting, rows = fastest_times(timed)
    where = f"{setting}; {machine.get('device', 'machine not recorded')}"
    return {
        (row["method"], row["keep_ratio"]): Line(f"{_time(row)} ({where})", row["seed"], row["macs"])
        for row in rows.to_dict("records")
    }


def _time(row: TableRow) -> str:
    faster = "" if row["method"] == DENSE else f", {row['speedup']:.2f} times as fast as dense"
    return f"{_three(row['median_ms'])} ms{faster}"


def fewest_threads(timed: pd.DataFrame) -> pd.DataFrame:
    """The timings with the fewest threads, which is one unless that was not timed."""
    return timed[timed["threads"] == timed["threads"].min()]


def in_threads(count: int) -> str:
    """A thread count in words."""
    return "1 thread" if count == 1 else f"{count} threads"


def _tables(timed: pd.DataFrame, accuracies: Accuracies) -> list[str]:
    alone = fewest_threads(timed)
    threads = in_threads(alone["threads"].iloc[0])
    parts = [f"{FASTEST}, {threads}", _in_the_fastest(alone, accuracies)]
    for (count, batch), rows in timed.groupby(["threads", "batch"]):
        parts += [f"## {in_threads(count)}, batch {batch}", _speedups(rows)]
    runtimes = alone.groupby("batch")["runtime"].nunique()  # fewer where only what was asked for was timed
    largest = alone[alone["batch"] == runtimes.index[runtimes == runtimes.max()].max()]
    return [*parts, f"## Files, and peak memory with {threads}, batch {largest['batch'].iloc[0]}", _sizes(largest)]


def _in_the_fastest(timed: pd.DataFrame, accuracies: Accuracies) -> str:
    """A column a batch size: the speed-up in the runtime in which dense is fastest."""
    chosen = {batch: _fastest(rows) for batch, rows in timed.groupby("batch")}
    rows = timed[timed["runtime"] == timed["batch"].map(chosen)]
    columns = [_column(f"Speed-up, batch {batch} ({runtime})", batch, _speedup) for batch, runtime in chosen.items()]
    fronts = _fronts(rows, accuracies)
    best: Column = ("Best for time, batch", lambda row: ", ".join(fronts.get((row["method"], row["keep_ratio"]), ())))
    return shown([*FIRST, *columns, best], _networks(rows, "batch"))


def _fronts(timed: pd.DataFrame, accuracies: Accuracies) -> dict[tuple[str, float], list[str]]:
    """The batch sizes for which no network is both faster and more accurate, by method and keep ratio."""
    found: dict[tuple[str, float], list[str]] = {}
    scores = [accuracies.get((row["method"], row["keep_ratio"])) for row in timed.to_dict("records")]
    for batch, rows in timed.assign(top1=pd.Series(scores, index=timed.index, dtype=float)).groupby("batch"):
        for row in pareto(rows, "median_ms", "top1").to_dict("records"):
            found.setdefault((row["method"], row["keep_ratio"]), []).append(str(batch))
    return found


def _speedups(timed: pd.DataFrame) -> str:
    """A column a runtime, for one thread count and batch size; where a share of the time was asked for, two more."""
    names, fastest = list(timed["runtime"].unique()), _fastest(timed)
    columns = [_column(f"{name} (fastest)" if name == fastest else name, name, _speedup) for name in names]
    for name in names:
        columns += [_column(f"Asked, {name}", name, _asked), _column(f"Achieved, {name}", name, _achieved)]
    return shown([*FIRST, *columns], _networks(timed, "runtime"))


def _sizes(timed: pd.DataFrame) -> str:
    names = timed["runtime"].unique()
    files = [_column(f"File, {name}", name, lambda timing: f"{scaled(timing['file_bytes'])}B") for name in names]
    return shown([*NAMES[:2], *files, *(_column(f"Peak, {name}", name, _peak) for name in names)], _networks(timed, "runtime"))


def _fastest(timed: pd.DataFrame) -> str:
    """The runtime in which dense takes the least time, which every row implies by its own time and its speed-up.

    Integers compute something else than the network that was trained, so they count only where there is nothing else.
    """
    exact = timed[~timed["runtime"].str.endswith("int8")]
    rows = timed if exact.empty else exact
    return str((rows["median_ms"] * rows["speedup"]).groupby(rows["runtime"]).median().idxmin())


def _networks(timed: pd.DataFrame, by: str) -> list[dict[str, Any]]:
    """One record a network, in the order of the rows: its names and MACs, and `timings`, its rows by the values of `by`."""
    groups = [rows.to_dict("records") for _, rows in timed.groupby(NETWORK, sort=False)]
    return [rows[0] | {"timings": {row[by]: row for row in rows}} for rows in groups]


def _column(head: str, key: object, show: Callable[[TableRow], str]) -> Column:
    """What `show` says of the timing of that key; blank for a network that has none."""
    return head, lambda row: show(row["timings"][key]) if key in row["timings"] else ""


def _speedup(timing: TableRow) -> str:
    if timing["method"] == DENSE:
        return f"{_three(timing['median_ms'])} ms"
    return f"{timing['speedup']:.2f} ({timing['speedup_low']:.2f}-{timing['speedup_high']:.2f})"


def _asked(timing: TableRow) -> str:
    return "" if pd.isna(timing["asked_share"]) else f"{timing['asked_share']:.1%}"


def _achieved(timing: TableRow) -> str:
    return "" if pd.isna(timing["asked_share"]) else f"{1 / timing['speedup']:.1%}"


def _peak(timing: TableRow) -> str:
    return "" if pd.isna(timing["peak_mib"]) else f"{timing['peak_mib']:.1f} MiB"


def _three(value: float) -> str:
    """Three significant digits, and all of those before the point."""
    rounded = float(f"{value:.3g}")  # 9.996 are 10.0
    return f"{value:.{max(0, 2 - math.floor(math.log10(rounded)))}f}"
