"""Reading the golden numbers of tests/golden."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, Any]:
    """One golden file: its inputs, params and outputs."""
    case: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return case
