"""Tables that were written earlier, read back."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def csv(path: Path, types: Mapping[str, type], blanks: tuple[str, ...]) -> pd.DataFrame:
    """A .csv file. types: of columns. blanks: the texts that mean nothing is known. Raises ValueError for a broken file."""
    try:
        return pd.read_csv(path, dtype=dict(types), keep_default_na=False, na_values=list(blanks))
    except ValueError as error:  # pandas' own are of this kind
        msg = f"{path}: {str(error).strip()}; take the file from git again, or make it with: dvc repro"
        raise ValueError(msg) from error
