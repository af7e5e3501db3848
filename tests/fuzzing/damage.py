"""What may happen to a file, drawn at random; and how a refusal must look."""

import random

LONGEST_MESSAGE = 1000
CHECKSUM = slice(148, 156)  # of a tar's header; counted as spaces
EXTREMES = [b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\x80\0\0\0", b"\xff" * 8, b"7777777"]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with up to three damages: bits, bytes, a number, a piece lost, doubled, zeroed, strange; or the end lost."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        place, length = chance.randrange(max(1, len(content))), chance.choice([1, 4, 30, 512])
        before, piece, after = content[:place], content[place : place + length], content[place + length :]
        bit = bytes([piece[0] ^ 1 << chance.randrange(8)]) + piece[1:] if piece else b""
        number = chance.choice(EXTREMES)
        noise = chance.randbytes(length)
        changed = [bit, bit, noise, number + piece[len(number) :], b"", piece * 2, b"\0" * len(piece), noise + piece]
        content = chance.choice([*(before + new + after for new in changed), before])
    return content


def lying(tar: bytes, chance: random.Random) -> bytes:
    """A tar whose first header is damaged and has the checksum that belongs to it."""
    header = bytearray(damaged(tar[:512], chance).ljust(512, b"\0")[:512])
    header[CHECKSUM] = b"%06o\0 " % (sum(header) - sum(header[CHECKSUM]) + 8 * ord(" "))
    return bytes(header) + tar[512:]


def badly_refused(error: ValueError, name: str) -> str | None:
    """What is wrong with a message; None for one line of bounded length that names the file."""
    message = str(error)
    if name not in message:
        return f"refused without the file's name: {message[:200]!r}"
    if not message.isprintable():
        return f"refused with control characters: {message[:200]!r}"
    return f"refused in {len(message)} characters" if len(message) > LONGEST_MESSAGE else None
