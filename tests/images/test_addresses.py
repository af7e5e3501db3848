"""data.source: a path, or an address on the web; anything else is refused with one message."""

from pathlib import Path

import pytest

from lib.images.addresses import OFFLINE_CURE, local_path


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("data/a.zip", "data/a.zip"),
        ("/data/a b.zip", "/data/a b.zip"),
        ("file:///data/a%20b.zip", "/data/a b.zip"),
        ("file:/data/a.zip", "/data/a.zip"),
        ("FILE:///a.zip", "/a.zip"),
        ("12:30.zip", "12:30.zip"),
    ],
)
def test_local_sources_are_paths(source: str, path: str) -> None:
    assert local_path(source) == Path(path)


def test_the_home_of_a_user_is_found() -> None:
    assert local_path("~/a.zip") == Path.home() / "a.zip"


@pytest.mark.parametrize("source", ["http://a.b/c.zip", "https://a.b:80/c.zip?d=e", "HTTPS://a.b/c"])
def test_addresses_on_the_web_have_no_path(source: str) -> None:
    assert local_path(source) is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "is empty; give a known source, or the path or URL"),
        (" \n", "is empty"),
        ("ftp://a.b/c.zip", f"begins with ftp:, but addresses begin with http:, https: or file:; {OFFLINE_CURE}"),
        ("s3://bucket/c.zip", "begins with s3:"),
        (
            "~nobody-of-that-name/x",
            r"begins with the home of a user who is not there \(~nobody-of-that-name\); write",
        ),
        ("http://", "is no address that can be read; write http://<host>/<path>"),
        ("http://[::1/a.zip", "is no address that can be read"),
    ],
)
def test_other_sources_are_refused_with_a_cure(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        local_path(source)
