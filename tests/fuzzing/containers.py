"""Damaged packed networks. What the checksum covers must be refused; under a right one, a sound network may come out."""

import random
from collections.abc import Iterator
from pathlib import Path

from lib.formats.checkpoint import Checkpoint
from lib.formats.packed import FRONT, pack, sealed, unpack, unpacked
from tests.fuzzing import judging
from tests.fuzzing.container_parts import Parts, parted
from tests.fuzzing.damage import damaged
from tests.fuzzing.headers import mutated
from tests.fuzzing.hostile_containers import HOSTILE
from tests.fuzzing.judging import Case, Outcome
from tests.fuzzing.originals import unmasked
from tests.fuzzing.sameness import same

NAME = "containers"
WAYS = ("bytes", "bytes", "front", "body", "header", "hostile")


def run(seed: int, cases: int, folder: Path) -> Iterator[Outcome]:
    """Damage to bytes, to bodies under a right checksum and to headers; and files that no writer makes."""
    whole = [(parted(network), pack(network, coder).content) for network in unmasked() for coder in ("huffman", "ans")]
    return judging.run(NAME, lambda chance: _case(*chance.choice(whole), chance), unpacked, seed, cases, folder)


def _case(parts: Parts, content: bytes, chance: random.Random) -> Case:
    front, body, way = content[: FRONT.size], content[FRONT.size :], chance.choice(WAYS)
    if way == "body":
        return Case(sealed(damaged(body, chance)), _unsound)
    if way == "header":
        return Case(parts._replace(header=mutated(parts.header, chance)).container(), _unsound)
    if way == "hostile":
        name = chance.choice(list(HOSTILE))
        return Case(HOSTILE[name](parts, chance), lambda _path, _value: f"{name} is accepted")
    changed = damaged(front, chance) + body if way == "front" else damaged(content, chance)
    return Case(changed, lambda _, value: None if same(parts.network, value) else "is read as another network")


def _unsound(_: Path, value: Checkpoint) -> str | None:
    """What was read can be written, and read again as the same."""
    return None if same(value, unpack(pack(value, "ans").content)) else "cannot be written again"
