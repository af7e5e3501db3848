"""Which image belongs to which split and class: every usual layout is read, any other is refused saying what is there."""

from collections.abc import Iterable

import pytest

from lib.images.annotations import LayoutError
from lib.images.layout import Layout, find

SPLITS = {"train": ("cat", "dog"), "test": ("cat", "dog")}


def _names(below: str = "", **splits: Iterable[str]) -> list[str]:
    return [
        f"{split}/{kind}/{below}{i}.png" for split, kinds in (splits or SPLITS).items() for kind in kinds for i in range(2)
    ]


def _find(names: Iterable[str], **files: str) -> Layout:
    """files: the content of files by the last part of their name."""
    return find([*names], lambda name: files[name.rpartition("/")[2].partition(".")[0]].encode())


@pytest.mark.parametrize("top", ["", "top/", "a/b/c/", "./", "/"])
def test_classes_lie_below_their_splits_wherever_those_are(top: str) -> None:
    found = _find(top + name for name in reversed(_names()))
    assert found.splits == {
        "train": {kind: [f"{top}train/{kind}/{i}.png" for i in range(2)] for kind in ("cat", "dog")},
        "test": {kind: [f"{top}test/{kind}/{i}.png" for i in range(2)] for kind in ("cat", "dog")},
    }
    assert found.remarks == ()


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_val_beside_test_is_the_validation_split(name: str) -> None:
    found = _find(_names(**SPLITS, **{name: ("cat", "dog")}))
    assert list(found.splits) == ["train", "validation", "test"]
    assert found.splits["validation"]["dog"] == [f"{name}/dog/0.png", f"{name}/dog/1.png"]
    assert found.splits["test"]["dog"] == ["test/dog/0.png", "test/dog/1.png"]
    assert found.remarks == (f"{name}/ is the validation split; data.validation_fraction is not used",)


def test_val_alone_is_the_test_split_and_that_is_told() -> None:
    found = _find(_names(train=("cat", "dog"), val=("cat", "dog")))
    assert list(found.splits) == ["train", "test"]
    assert found.remarks == ("there is no test/: val/ is the test split",)


def test_two_folders_for_validation_are_refused() -> None:
    names = _names(**SPLITS, val=("cat", "dog"), valid=("cat", "dog"))
    with pytest.raises(LayoutError, match=r"the folders \['val', 'valid'\] are all for validation; keep one"):
        _find(names)


@pytest.mark.parametrize("below", ["images/", "png/small/"])
def test_images_one_folder_deeper_are_read_where_it_has_one_name(below: str) -> None:
    found = _find(_names(below))
    assert found.splits["train"] == {kind: [f"train/{kind}/{below}{i}.png" for i in range(2)] for kind in ("cat", "dog")}


@pytest.mark.parametrize("other", ["train/cat/images/9.png", "train/9.png", "train/cat/more/still/9.png"])
def test_images_at_two_depths_are_refused_with_both_and_what_is_wanted(other: str) -> None:
    wanted = r"expected <split>/<class>/<image> with train and test \(or val\), all at one depth"
    with pytest.raises(LayoutError, match=rf"images of train/ lie in class folders and elsewhere, .*'{other}'.*{wanted}"):
        _find([*_names(), other])


def test_groups_of_classes_are_refused() -> None:
    names = [f"{split}/{kind}/0.png" for split in ("train", "test") for kind in ("animals/cat", "animals/dog", "plants/fern")]
    with pytest.raises(
        LayoutError, match=r"elsewhere, e.g. \['train/animals/cat/0.png', 'train/animals/dog/0.png'\]; expected"
    ):
        _find(names)


TINY = [
    *(f"tiny/train/{kind}/images/{kind}_{i}.JPEG" for kind in ("n01", "n02") for i in range(2)),
    *(f"tiny/train/{kind}/{kind}_boxes.txt" for kind in ("n01", "n02")),
    *(f"tiny/val/images/val_{i}.JPEG" for i in range(3)),
    "tiny/val/val_annotations.txt",
    *(f"tiny/test/images/test_{i}.JPEG" for i in range(3)),
    "tiny/words.txt",
]
TABLE = "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t1\t1\t2\t2\nval_2.JPEG\tn02\t1\t1\t2\t2\n"


def test_tiny_imagenet_is_read_and_what_is_left_out_is_told() -> None:
    found = _find(TINY, val_annotations=TABLE)
    assert found.splits == {
        "train": {kind: [f"tiny/train/{kind}/images/{kind}_{i}.JPEG" for i in range(2)] for kind in ("n01", "n02")},
        "test": {"n01": ["tiny/val/images/val_1.JPEG"], "n02": ["tiny/val/images/val_0.JPEG", "tiny/val/images/val_2.JPEG"]},
    }
    boxes = "['tiny/train/n01/n01_boxes.txt', 'tiny/train/n02/n02_boxes.txt']"
    assert found.remarks == (
        f"2 files are no images and are left out: {boxes}",
        "test/ has no classes and is left out: val/ is the test split",
    )


def test_a_flat_val_beside_a_test_with_classes_is_the_validation_split() -> None:
    names = [*_names(), "val/a.png", "val/b.png", "val/val_annotations.txt"]
    found = _find(names, val_annotations="a.png\tdog\r\nb.png\tcat\r\n")
    assert found.splits["validation"] == {"cat": ["val/b.png"], "dog": ["val/a.png"]}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE + "val_3.JPEG\tn01\n", r"one line for each image beside it; only one of both has \['val_3.JPEG'\]"),
        (TABLE[: TABLE.index("val_2")], r"only one of both has \['val_2.JPEG'\]"),
        (TABLE.replace("\tn01", "\tn03"), r"has classes that train/ has not: \['n03'\]; correct them"),
        (TABLE.replace("\t", " "), r"line 1 is 'val_0.JPEG n02 .*write image and class with a tab between"),
        (TABLE + TABLE, "line 4 is .*each image once"),
        ("\udcff", "is no text in UTF-8"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(table: str, said: str) -> None:
    with pytest.raises(LayoutError, match=f"tiny/val/val_annotations.txt.* {said}"):
        find(TINY, lambda _: table.encode(errors="surrogateescape"))


@pytest.mark.parametrize("flat", ["val/0.png", "val/images/0.png", "test/0.png"])
def test_a_flat_split_without_annotations_is_refused(flat: str) -> None:
    split = flat.partition("/")[0]
    names = [name for name in _names(**SPLITS, val=("cat", "dog")) if not name.startswith(f"{split}/")]
    if split == "test":
        names = [name for name in names if not name.startswith("val/")]
    with pytest.raises(
        LayoutError, match=f"images of {split}/ lie in no class folders, .* no {split}/{split}_annotations.txt"
    ):
        _find([*names, flat])


def test_a_class_may_be_called_images_or_like_a_split() -> None:
    kinds = ("images", "test", "train", "val")
    found = _find(_names(train=kinds, test=kinds))
    assert {split: tuple(classes) for split, classes in found.splits.items()} == {"train": kinds, "test": kinds}


def test_the_folder_above_may_be_called_train() -> None:
    found = _find(f"train/{name}" for name in _names())
    assert found.splits["test"]["cat"] == ["train/test/cat/0.png", "train/test/cat/1.png"]


def test_two_data_sets_in_one_archive_are_refused() -> None:
    names = [f"{top}/{name}" for top in ("photos", "masks") for name in _names()]
    with pytest.raises(
        LayoutError, match=r"several folders have splits: \['masks', 'photos'\]; give one of them as data.source"
    ):
        _find(names)


def test_hidden_files_and_those_of_macos_are_no_part_of_the_data() -> None:
    names = _names()
    hidden = [f"__MACOSX/{name.replace('/0', '/._0')}" for name in names] + [".git/train/x/0.png", "train/cat/.9.png"]
    assert _find([*names, *hidden]).splits == _find(names).splits


def test_what_is_left_out_is_told() -> None:
    found = _find([*_names(), "train/cat/notes.jp2", "extra/cat/0.png", "README"])
    assert found.remarks == (
        "1 files are no images and are left out: ['train/cat/notes.jp2']",
        "images beside the splits are left out: ['extra']",
    )


def test_one_class_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"there is one class, \['cat'\]; give images of two classes or more"):
        _find(_names(train=("cat",), test=("cat",)))


def test_messages_stay_short_and_printable_whatever_the_names() -> None:
    many = [f"\x1b[31m{'x' * 300}{i}" for i in range(500)]
    for names in (
        _names(train=many, test=("cat",)),
        [f"{name}/a.png" for name in many],
        [f"train/{name}.png" for name in many],
    ):
        with pytest.raises(LayoutError) as told:
            _find(names)
        assert str(told.value).isprintable()
        assert len(str(told.value)) < 2000
