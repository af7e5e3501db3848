"""Damaged archives of images: each must be read as it was before the damage, or be refused with one ValueError."""

import random
from collections.abc import Iterator
from pathlib import Path

import torch

from lib.images import imagefolder
from lib.images.splitting import Obtained
from tests.fuzzing.damage import badly_refused, damaged, lying
from tests.fuzzing.judging import Outcome
from tests.fuzzing.packing import KINDS, archive

NAME = "archives"
LYING = "lying-"  # whole, so what they say counts


def cases(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """The name and content of each of `count` damaged archives; every other tar is whole, but its first header lies."""
    whole = {kind: archive(kind) for kind in KINDS}
    for number in range(count):
        chance, kind = random.Random(f"archives/{seed}/{number}"), KINDS[number % len(KINDS)]
        content = whole[kind]
        if kind == "tar" and number % 2:
            yield f"{LYING}{number}.{kind}", lying(content, chance)
        else:
            yield f"{number}.{kind}", damaged(content, chance)


def problem(name: str, content: bytes, folder: Path) -> str | None:
    """What is wrong with the answer to a case, None where it is right. Writes the archive to `folder`."""
    (folder / name).write_bytes(content)
    whole = folder / f"whole.{name.partition('.')[2]}"
    try:
        found = imagefolder.read(folder / name, lambda names, _: names)
    except ValueError as error:
        return badly_refused(error, name)
    whole.write_bytes(archive(name.partition(".")[2]))
    right = name.startswith(LYING) or _same(found, imagefolder.read(whole, lambda names, _: names))
    return None if right else "read as something else"


def _same(one: Obtained, other: Obtained) -> bool:
    pairs = zip(one.splits.values(), other.splits.values(), strict=True)
    return one.classes == other.classes and all(torch.equal(a[i], b[i]) for a, b in pairs for i in (0, 1))


def run(seed: int, count: int, folder: Path) -> Iterator[Outcome]:
    """The outcome of each case; the file of one that failed stays in the folder."""
    for name, content in cases(seed, count):
        failure = problem(name, content, folder)
        yield Outcome("wrong" if failure else "right", failure and f"{folder / name}: {failure}")
        if failure is None:
            (folder / name).unlink()
