"""What was found in a file, as it may stand in a message: short, and without characters that move a terminal's cursor."""

from collections.abc import Iterable

LONGEST, LISTED = 120, 600  # characters of a value, of a list of what is allowed


def shown(value: object) -> str:
    """A value as Python writes it, in at most LONGEST characters."""
    return shortened(repr(value))


def shortened(text: str, most: int = LONGEST) -> str:
    """Text in one line of at most so many characters; what cannot be printed is escaped."""
    line = " ".join(text[: 10 * most].split())
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def listed(names: Iterable[str]) -> str:
    """Names, shortened in all to LISTED characters."""
    return shortened(", ".join(names) or "none", LISTED)
