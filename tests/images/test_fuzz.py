"""Damaged archives and images are read as what they were, or refused with one message."""

from pathlib import Path

import pytest

from tests.fuzzing import archives, images, packing
from tests.fuzzing.damage import badly_refused
from tests.fuzzing.packing import KINDS, archive, image

COUNT = 400


def test_damaged_archives_are_read_right_or_refused(tmp_path: Path) -> None:
    answers = {name: archives.problem(name, content, tmp_path) for name, content in archives.cases(0, COUNT)}
    assert len(answers) == COUNT
    assert {name: answer for name, answer in answers.items() if answer} == {}


def test_damaged_images_give_pixels_or_are_refused() -> None:
    answers = {name: images.problem(name, content) for name, content in images.cases(0, COUNT)}
    assert len(answers) == COUNT
    assert {name: answer for name, answer in answers.items() if answer} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_archive_is_no_problem_and_one_of_other_images_is(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = archive(kind)
    assert archives.problem(f"0.{kind}", whole, tmp_path) is None
    monkeypatch.setattr(packing, "image", lambda number, suffix: image(number + 1, suffix))
    assert archives.problem(f"0.{kind}", whole, tmp_path) == "read as something else"


def test_the_same_seed_gives_the_same_cases() -> None:
    assert list(archives.cases(3, 12)) == list(archives.cases(3, 12))
    assert list(archives.cases(3, 12)) != list(archives.cases(4, 12))


def test_a_bad_refusal_is_told() -> None:
    assert badly_refused(ValueError("a.zip is cut"), "a.zip") is None
    assert badly_refused(ValueError("it is cut"), "a.zip") == "refused without the file's name: 'it is cut'"
    assert badly_refused(ValueError("a.zip: \x1b[31m"), "a.zip") == "refused with control characters: 'a.zip: \\x1b[31m'"
    assert badly_refused(ValueError("a.zip" + "x" * 2000), "a.zip") == "refused in 2005 characters"
