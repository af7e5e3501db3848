"""The command line that all stages share: what may not be None is required, errors are one message without a traceback."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from lib.graph.orphans import raise_at_interrupt

HELP = {Path: "PATH", int: "N", float: "X", str: "NAME"}


def arguments(description: str | None, **kinds: Any) -> argparse.Namespace:
    """Parse `--name VALUE` for each keyword, and `--params FILE`: a keyword `keep_ratio=float` is `--keep-ratio X`.

    A Literal allows its values only; `Path | None` may be left out.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: params.yaml")
    for name, kind in kinds.items():
        options = get_args(kind)
        optional = NoneType in options
        plain = options[0] if optional else kind
        choices = options if options and not optional else None
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=str if choices else plain,
            choices=choices,
            required=not optional,
            metavar=None if choices else HELP[plain],
        )
    return parser.parse_args()


def run(main: Callable[[], None]) -> None:
    """Run a stage; what its input or the disk is to blame for is a message for the user, an interrupt is not an error."""
    raise_at_interrupt()
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues from the last finished epoch")
