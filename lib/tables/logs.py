"""The training logs of a suite, merged into one table in long form: a row an epoch."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lib.params.suite import Suite
from lib.tables.results import Found

STAGES = ("trained", "pruned", "distilled")
LOGGED = ("epoch", "lr", "loss", "train_top1", "validation_top1")
OF_GIVEN = ("epoch", "validation_top1")  # all that is known of a network that came trained
COLUMNS = ("run", "stage", "seed", *LOGGED, "method", "keep_ratio", "distiller")


def read(folder: Path, suite: Suite) -> Found:
    """All epochs of all runs, every value as the text that was logged, so that nothing is rounded twice.

    folder: holds one for each of STAGES, with <run>.csv; for `trained`, <seed>/<network>.csv. `method` of what was trained
    whole is its network.
    Raises ValueError for a log that is no CSV or lacks one of LOGGED (of what was trained whole: one of OF_GIVEN).
    """
    runs = {(stage, labels["run"]): labels for stage, labels in _runs(suite)}
    paths = {key: folder / key[0] / _file(key[0], labels) for key, labels in runs.items()}
    logs = [_log(path, runs[key], key[0]) for key, path in paths.items() if path.is_file()]
    rows = pd.concat(logs, ignore_index=True) if logs else pd.DataFrame(columns=list(COLUMNS), dtype="str")
    extra = sorted(set(rows.columns) - set(COLUMNS))
    missing = tuple("/".join(key) for key, path in paths.items() if not path.is_file())
    return Found(rows[[*COLUMNS, *extra]].fillna(""), missing)


def _runs(suite: Suite) -> Iterable[tuple[str, dict[str, str]]]:
    """Every training of the suite: its stage and what labels its rows."""
    axes = suite.benchmark
    for network in axes.trained:
        for seed in axes.seeds:
            yield "trained", _labels(f"{network}-{seed}", seed, network, "", "")
    for cell in suite.cells:
        yield "pruned", _labels(cell.pruned_key, cell.seed, cell.method, str(cell.keep_ratio), "")
    for cell in suite.cells:
        yield "distilled", _labels(cell.key, cell.seed, cell.method, str(cell.keep_ratio), cell.distiller)


def _file(stage: str, labels: Mapping[str, str]) -> str:
    return f"{labels['seed']}/{labels['method']}.csv" if stage == "trained" else f"{labels['run']}.csv"


def _labels(run: str, seed: int, method: str, keep_ratio: str, distiller: str) -> dict[str, str]:
    return {"run": run, "seed": str(seed), "method": method, "keep_ratio": keep_ratio, "distiller": distiller}


def _log(path: Path, labels: Mapping[str, str], stage: str) -> pd.DataFrame:
    try:
        log = pd.read_csv(path, dtype=str, keep_default_na=False)
        for name in set(LOGGED) & set(log.columns):
            pd.to_numeric(log[name])
    except ValueError as error:  # pandas' own parser errors are kinds of it
        msg = f"{path} should hold a CSV log of numbers, got {error}; remove it and make it again with: dvc repro"
        raise ValueError(msg) from error
    needed = OF_GIVEN if stage == "trained" else LOGGED
    absent = [column for column in needed if column not in log.columns]
    if absent:
        msg = f"{path} should have the columns {', '.join(LOGGED)}; absent: {', '.join(absent)}; run: dvc repro"
        raise ValueError(msg)
    return log.reindex(columns=list(dict.fromkeys([*log.columns, *LOGGED])), fill_value="").assign(stage=stage, **labels)
