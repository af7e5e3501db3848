"""The settings of the data: each source with what decides its content, refused with the key that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lib.images import sources
from lib.images.sources import LIBRARIES, DataSettings
from lib.params.section import ParamsError, parse, read
from tests import tiny
from tests.graph.test_suites import COMMITTED

DIGEST = "0" * 64
LOCK = "requirements.lock"


def _read(**changes: Any) -> DataSettings:
    given = {
        "name": "mine",
        "source": "scikit-learn",
        "sha256": None,
        "validation_fraction": 0.1,
        "split_seed": 0,
        "size": None,
        "watch": LOCK,
    }
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
    assert data.watch == (LOCK if data.source in LIBRARIES else data.source)


def test_images_of_one_size_are_not_resized() -> None:
    with pytest.raises(ParamsError, match=r"^data.size: is 64; the images of torchvision have one size; set it to null$"):
        _read(name="cifar10", source="torchvision", size=64)
    assert _read(source="data/mine", watch="data/mine", size=64).size == 64


def test_digits_have_one_test_split_whatever_the_split_seed(tmp_path: Path) -> None:
    first, other = (
        sources._digits(_read(name="digits", split_seed=seed), tmp_path, tiny.unwatched).splits["test"] for seed in (0, 1)
    )
    assert torch.equal(first[0], other[0])
    assert torch.equal(first[1], other[1])
    assert len(first[1]) == 359
