"""Predicted classes, written and read back; what is damaged or of other images is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from lib.params.suite import Benchmark, Cell, Suite
from lib.tables import predictions

SUITE = Suite("made-up", "digits", "resnet8", Benchmark("resnet8", ("resnet8",), ("l1",), (0.5,), ("kd",), (0,), "coupled"))
DENSE, L1 = Cell("dense", 1.0, "kd", 0), Cell("l1", 0.5, "kd", 0)
NOWHERE, NOBODY = Path("absent"), frozenset[Cell]()
LABELS = np.array([3, 1, 2, 0])


def _written(folder: Path, cell: Cell, predicted: list[int], labels: np.ndarray = LABELS) -> Path:
    path = folder / f"{cell.key}.safetensors"
    path.write_bytes(predictions.content(np.array(predicted), labels))
    return path


def test_what_was_told_right_is_read_back_by_cell(tmp_path: Path) -> None:
    _written(tmp_path, DENSE, [3, 1, 2, 0])
    _written(tmp_path, L1, [3, 0, 2, 1])
    judged = predictions.read(tmp_path, SUITE, NOWHERE, NOBODY)
    assert {cell: right.tolist() for cell, right in judged.right.items()} == {
        DENSE: [True] * 4,
        L1: [True, False, True, False],
    }
    assert judged.missing == ()


def test_missing_files_are_named(tmp_path: Path) -> None:
    _written(tmp_path, DENSE, [3, 1, 2, 0])
    assert predictions.read(tmp_path, SUITE, NOWHERE, NOBODY).missing == ("l1-0.5-kd-0",)
    assert predictions.read(tmp_path / "absent", SUITE, NOWHERE, NOBODY).right == {}


def test_files_about_other_images_are_refused(tmp_path: Path) -> None:
    _written(tmp_path, DENSE, [3, 1, 2, 0])
    _written(tmp_path, L1, [3, 1, 2, 0], LABELS[::-1])
    with pytest.raises(ValueError, match=r"l1-0\.5-kd-0\.safetensors is about other test images .*; remove it and make"):
        predictions.read(tmp_path, SUITE, NOWHERE, NOBODY)


def test_an_earlier_file_of_all_is_taken_for_cells_whose_numbers_are_still_the_same(tmp_path: Path) -> None:
    _written(tmp_path, DENSE, [3, 1, 2, 0])
    path = _written(tmp_path, L1, [3, 0, 2, 1])
    earlier = tmp_path / "all.safetensors"
    judged = predictions.read(tmp_path, SUITE, NOWHERE, NOBODY)
    earlier.write_bytes(predictions.together(judged, {DENSE: "a", L1: "b"}))
    path.unlink()
    still = predictions.unchanged(earlier, {DENSE: "c", L1: "b"})
    assert still == {L1}
    assert predictions.read(tmp_path, SUITE, earlier, still).right[L1].tolist() == [True, False, True, False]
    assert predictions.read(tmp_path, SUITE, earlier, NOBODY).missing == (L1.key,)
    assert predictions.unchanged(NOWHERE, {L1: "b"}) == NOBODY


@pytest.mark.parametrize("marks", ["{", "[1]", "3", "null"])
def test_an_earlier_file_of_damaged_marks_is_refused_by_name(tmp_path: Path, marks: str) -> None:
    earlier = tmp_path / "predictions.safetensors"
    earlier.write_bytes(save({"labels": LABELS}, {"marks": marks}))
    with pytest.raises(
        ValueError, match=r"predictions\.safetensors should say under marks of which numbers .*; remove it and"
    ):
        predictions.unchanged(earlier, {DENSE: "a"})


def test_an_earlier_file_about_other_images_does_not_count(tmp_path: Path) -> None:
    earlier = tmp_path / "all.safetensors"
    earlier.write_bytes(predictions.together(predictions.Judged(LABELS, {L1: LABELS}, ()), {L1: "b"}))
    _written(tmp_path, DENSE, [0, 1, 2, 3], LABELS[::-1])
    judged = predictions.read(tmp_path, SUITE, earlier, {L1})
    assert judged.missing == (L1.key,)
    assert judged.right[DENSE].tolist() == (LABELS[::-1] == [0, 1, 2, 3]).tolist()


def test_a_thousand_classes_need_no_more_than_two_bytes_an_image(tmp_path: Path) -> None:
    classes = np.arange(1000)
    assert len(predictions.content(classes, classes)) < 2 * 2 * 1000 + 200
    (tmp_path / f"{L1.key}.safetensors").write_bytes(predictions.content(classes, classes))
    assert predictions.read(tmp_path, SUITE, NOWHERE, NOBODY).predicted[L1].tolist() == classes.tolist()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a file of tensors", save({"labels": LABELS}), save({"labels": LABELS, "predicted": LABELS[:2]})],
    ids=["empty", "text", "one vector", "two lengths"],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dense-1.0-kd-0.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"dense-1\.0-kd-0\.safetensors should hold .*; remove it and make it again"):
        predictions.read(tmp_path, SUITE, NOWHERE, NOBODY)
