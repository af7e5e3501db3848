"""Running a command so that whatever goes wrong ends in one message without a traceback."""

import logging
import re
import sys
from collections.abc import Callable

from lib.graph.orphans import INTERRUPTED, raise_at_interrupt
from stages.command.device import explained
from stages.command.options import arguments
from stages.command.spreading import end_if_lost, say_it_yourself, spread

LAST_WORDS = "interrupted; with the same command a training continues from its last finished epoch\n"
LENGTH = 2000  # of a message, in characters
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def run(main: Callable[..., None]) -> None:
    """Run a command with the words of its command line, which are the parameters of `main` (see `arguments`).

    What the input, the disk or the device is to blame for is one message and exit status 1; an interrupt is one line and 130.
    Call it before anything that takes long is imported: a command imports the library in its `main`.
    """
    raise_at_interrupt(LAST_WORDS)
    logging.basicConfig(format="note: %(message)s")
    try:
        words = arguments(main)
        spread(words)
        main(**words)
    except (ValueError, OSError) as error:
        say_it_yourself()
        sys.exit(f"error: {told(str(error))}")
    except RuntimeError as error:
        if (text := explained(error)) is None:
            end_if_lost(error)
            raise
        sys.exit(f"error: {told(text)}")
    except KeyboardInterrupt:
        sys.stderr.write(LAST_WORDS)
        sys.exit(INTERRUPTED)


def told(text: str) -> str:
    """A message for a terminal: of bounded length, without characters that a terminal acts on."""
    text = CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
    return text if len(text) <= LENGTH else f"{text[: LENGTH - 50]} … (cut; {len(text):,} characters in all)"
