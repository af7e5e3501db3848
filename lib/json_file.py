"""JSON that a stage of the pipeline wrote."""

import json
from pathlib import Path
from typing import Any


def load(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises ValueError that names the file when it is anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{path} should hold JSON, got {error}; remove it and make it again with: dvc repro"
        raise ValueError(msg) from error
    if not isinstance(document, dict):
        msg = f"{path} should hold a JSON object, got {type(document).__name__}; remove it and run: dvc repro"
        raise ValueError(msg)
    return document
