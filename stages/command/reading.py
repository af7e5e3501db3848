"""Reading the parameter file of a command."""

from pathlib import Path
from typing import Any


def read_params(path: Path) -> dict[str, Any]:
    """The sections of a parameter file. Raises ValueError, naming the file, for what is no text, no YAML or no mapping."""
    from lib.networks.builders import allow
    from lib.params.named import own_builders
    from lib.params.section import parse

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        raise ValueError(msg) from error
    found = parse(text)
    allow(own_builders(found))
    return found


def above_zero(**numbers: int | None) -> None:
    """Raise ValueError, naming the option, for a number of a command line that is not at least 1; None is one left out."""
    for name, number in numbers.items():
        if number is not None and number < 1:
            msg = f"--{name} must be at least 1, got {number}"
            raise ValueError(msg)
