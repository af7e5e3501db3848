"""Text that a file or a server wrote, made fit for a message."""

from collections.abc import Collection

MANY = 10


def quoted(text: object, limit: int = 160) -> str:
    """The text without control characters; of a long one both ends, `limit` characters in all."""
    whole = str(text)
    half = limit // 2
    short = whole if len(whole) <= limit else f"{whole[:half]} ... {whole[-half:]}"
    if short.isprintable():
        return short
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in short)


def listed(names: Collection[str]) -> str:
    """The first names of a list, each short, e.g. ['cat', 'dog'] or ['a', 'b', and 12 more]."""
    shown = [f"'{quoted(name, 60)}'" for name in sorted(names)[:MANY]]
    more = len(names) - len(shown)
    return f"[{', '.join([*shown, f'and {more} more'] if more else shown)}]"
