"""Damaged checkpoints. What the checksum covers must be refused; under a right one, a sound network may come out."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from lib.formats.checkpoint import Checkpoint, load, save
from tests.fuzzing import judging
from tests.fuzzing.checkpoint_parts import Parts, header, parted
from tests.fuzzing.damage import damaged
from tests.fuzzing.headers import mutated
from tests.fuzzing.hostile_checkpoints import HOSTILE
from tests.fuzzing.judging import Case, Outcome
from tests.fuzzing.originals import masked, unmasked
from tests.fuzzing.sameness import same

NAME = "checkpoints"
WAYS = ("bytes", "bytes", "header", "resealed", "resealed", "swap", "hostile")


def run(seed: int, cases: int, folder: Path) -> Iterator[Outcome]:
    """Damage to bytes, headers and tensors, with and without a right checksum; and files that no writer makes."""
    whole = [parted(network, folder / "whole") for network in (*unmasked(), *masked())]
    return judging.run(
        NAME, lambda chance: _case(chance.choice(whole), chance.choice(whole), chance), load, seed, cases, folder
    )


def _case(parts: Parts, other: Parts, chance: random.Random) -> Case:
    way, sealed = chance.choice(WAYS), chance.random() < 0.5
    if way == "hostile":
        name = chance.choice(list(HOSTILE))
        return Case(HOSTILE[name](parts, chance), lambda _path, _value: f"{name} is accepted")
    if way == "resealed":
        return Case(parts._replace(header=mutated(parts.header, chance)).file(), _unsound)
    if way == "swap":
        mixed = {name: chance.choice((tensor, other.state.get(name, tensor))) for name, tensor in parts.state.items()}
        return Case(parts._replace(state=mixed).file(sealed=sealed), _unsound if sealed else _other(parts))
    header = parts._replace(header=mutated(parts.header, chance)).file(sealed=False)
    return Case(damaged(parts.file(), chance) if way == "bytes" else header, _other(parts))


def _other(parts: Parts) -> Callable[[Path, Checkpoint], str | None]:
    return lambda _, value: None if same(parts.network, value) else "is read as another network"


def _unsound(path: Path, value: Checkpoint) -> str | None:
    """What was read, when written again, gives the header and the tensors of the file that it was read from."""
    again = path.with_suffix(".again")
    save(again, value)
    files = [(header(place) | {"sha256": None}, load_file(place)) for place in (path, again)]
    again.unlink()
    (head, state), (other_head, other_state) = files
    equal = head == other_head and state.keys() == other_state.keys()
    return None if equal and all(torch.equal(state[name], other_state[name]) for name in state) else "says something else"
