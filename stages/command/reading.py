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
