"""The settings of the data: each source with what decides its content, refused with the key that is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from lib.images.settings import LIBRARIES, DataSettings
from lib.params.section import ParamsError, parse, read
from tests import tiny
from tests.graph.test_suites import COMMITTED

DIGEST = "0" * 64
LOCK = "requirements.lock"


def _read(**changes: Any) -> DataSettings:
    name = "digits" if changes.get("source", "scikit-learn") == "scikit-learn" else "mine"
    given = tiny.document()["data"] | {"name": name, "source": "scikit-learn", "watch": LOCK}
    return read({"data": given | changes}, "data", DataSettings)


@pytest.mark.parametrize(
    ("source", "watch"),
    [
        ("scikit-learn", LOCK),
        ("torchvision", LOCK),
        ("https://a.b/c.zip", LOCK),
        ("data/mine.zip", "data/mine.zip"),
        ("data/mine/", "data/mine"),
        ("./data/mine", "data/mine"),
        ("file:///data/a%20b.zip", "/data/a b.zip"),
        ("~/mine", str(Path.home() / "mine")),
    ],
)
def test_what_decides_the_data_is_watched(source: str, watch: str) -> None:
    name = {"scikit-learn": "digits", "torchvision": "cifar10"}.get(source, "mine")
    assert _read(name=name, source=source, watch=watch, sha256=DIGEST).watch == watch
    for other in {LOCK, "data/other"} - {watch}:
        with pytest.raises(ParamsError, match=rf"^data.watch: is '{other}'; must be '{watch}' \(.*\), so that a change"):
            _read(name=name, source=source, watch=other, sha256=DIGEST)


def test_a_url_without_a_checksum_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"^data.sha256: is None; data.source is a URL, .*give the sha256 of the archive$"):
        _read(source="http://a.b/c.zip")
    assert _read(source="http://a.b/c.zip", sha256=DIGEST).sha256 == DIGEST


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "is ''; it is empty; give a known source"),
        ("ftp://a.b/c.zip", "is 'ftp://a.b/c.zip'; it begins with ftp:, but addresses begin with"),
        ("~nobody-of-that-name/x", "is '~nobody-of-that-name/x'; it begins with the home of a user who is not there"),
    ],
)
def test_a_source_that_cannot_be_is_refused_once_with_its_key(source: str, said: str) -> None:
    with pytest.raises(ParamsError, match=f"^data.source: {said}") as told:
        _read(source=source)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("name", COMMITTED.names())
def test_the_suites_watch_what_decides_their_data(name: str) -> None:
    data = read(parse(COMMITTED.text(name)), "data", DataSettings)
    assert data.watch == (LOCK if data.source in LIBRARIES or data.storage == "files" else data.source)


def test_images_of_one_size_are_not_resized() -> None:
    with pytest.raises(ParamsError, match=r"^data.size: is 64; the images of torchvision have one size; set it to null$"):
        _read(name="cifar10", source="torchvision", size=64)
    assert _read(source="data/mine", watch="data/mine", size=64).size == 64


FILES = {"storage": "files", "source": "data/mine"}


def test_files_are_not_watched() -> None:
    assert _read(**FILES).watch == LOCK
    with pytest.raises(ParamsError, match=rf"^data.watch: is 'data/mine'; must be '{LOCK}': DVC would read all images"):
        _read(**FILES, watch="data/mine")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"storage": "files"}, "storage: files is for folders of images, and source is scikit-learn; set it to memory"),
        (
            {"storage": "files", "source": "http://a.b/c.zip", "sha256": DIGEST},
            "storage: files is for folders of images, and source is a URL; unpack it and give the path of the folder",
        ),
        ({"cache": True}, "cache: is for storage files; set it to false"),
        ({**FILES, "cache": True}, "cache: images are kept at the size of `size`, which is null; give a size, or"),
        ({"resize": 16}, "resize: is for what `crop` cuts out, which is null; give a crop, or set resize to null"),
        ({"crop": 8, "resize": 7}, "resize: is 7, less than the crop of 8; give more, or null"),
        ({"normalisation": {"mean": [0.5], "std": [0.2, 0.2]}}, "has 1 means and 2 standard deviations; give one of each"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=rf"^data(\.normalisation)?: {re.escape(said)}"):
        _read(**changes)


def test_all_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(ParamsError, match=r"storage: files is for folders.*\n.*cache: .*\n.*resize: "):
        _read(storage="files", cache=True, resize=9)


@pytest.mark.parametrize(
    "changes",
    [
        {**FILES, "size": 64, "cache": True},
        {**FILES, "crop": 224, "resize": 256, "normalisation": {"mean": [0.5] * 3, "std": [0.2] * 3}, "unreadable": "skip"},
        {"crop": 8},
    ],
)
def test_settings_that_fit_are_taken(changes: dict[str, Any]) -> None:
    assert _read(**changes).crop == changes.get("crop")
