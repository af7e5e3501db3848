"""The judge of the fuzz cases sees each way to answer wrongly."""

import mmap
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fuzzing import judging
from tests.fuzzing.judging import Case, Outcome
from tests.fuzzing.memory import STATM


def _judge(folder: Path, read: Any, problem: str | None = None) -> Outcome:
    (folder / "case").write_bytes(b"x")
    return judging.judge(Case(b"x", lambda _path, _value: problem), folder / "case", read)


def _raise(error: BaseException) -> Any:
    def read(_: Path) -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "problem", "word"),
    [
        (lambda _: 1, None, "accepted"),
        (lambda _: 1, "another network", "wrongly accepted"),
        (_raise(ValueError("case: is damaged; get it anew")), None, "refused"),
        (_raise(ValueError("is damaged")), None, "badly refused"),
        (_raise(ValueError("case: \x1b[2J")), None, "badly refused"),
        (_raise(ValueError("case: " + "x" * 3000)), None, "badly refused"),
        (_raise(KeyError("case")), None, "traceback"),
        (_raise(SystemExit(1)), None, "traceback"),
        (_raise(MemoryError()), None, "too much memory"),
    ],
)
def test_every_answer_has_its_word(tmp_path: Path, read: Any, problem: str | None, word: str) -> None:
    outcome = _judge(tmp_path, read, problem)
    assert outcome.word == word
    assert (outcome.failure is None) == (word in ("accepted", "refused"))


@pytest.mark.skipif(not STATM.exists(), reason="memory is bounded on Linux only")
@pytest.mark.parametrize(
    "take",
    [lambda size: torch.empty(size, dtype=torch.uint8), lambda size: np.empty(size, np.uint8), bytearray],
    ids=["torch", "numpy", "python"],
)
def test_memory_that_is_asked_for_counts_though_it_is_never_touched(tmp_path: Path, take: Any) -> None:
    size = 2**32  # more than earlier tests can have left free in this process's heap, which asks for no new addresses
    assert _judge(tmp_path, lambda _: take(size)).word == "too much memory"
    mmap.mmap(-1, size).close()  # afterwards the process may


def test_time_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "SECONDS", -1.0)
    assert _judge(tmp_path, lambda _: 1).word == "too slow"


def test_the_file_of_a_failed_case_stays(tmp_path: Path) -> None:
    def make(chance: random.Random) -> Case:
        return Case(chance.randbytes(4), lambda _, value: None if value[0] % 2 else "even")

    outcomes = list(judging.run("bytes", make, Path.read_bytes, 0, 20, tmp_path))
    failed = [outcome.failure for outcome in outcomes if outcome.failure]
    assert {f"{path}: even" for path in tmp_path.iterdir()} == set(failed)
    assert 0 < len(failed) < 20
    assert [outcome.word for outcome in judging.run("bytes", make, Path.read_bytes, 0, 20, tmp_path)] == [
        o.word for o in outcomes
    ]
