"""The pages of all committed suites are made of what is in git."""

import shutil
from pathlib import Path

import pytest

from lib.params.section import parse
from lib.steps.listing import listed
from tests.tiny import ROOT
from tools import report


def test_every_committed_suite_has_a_page_that_the_list_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    report.main(tmp_path)
    names = {path.parent.name for path in (ROOT / "metrics").glob("*/summary.csv")}
    assert {path.stem for path in tmp_path.iterdir()} == {*names, "index"}
    index = (tmp_path / "index.html").read_text()
    assert all(f'href="{name}.html"' in index for name in names)
    assert "Dense: dense 1.0 " in index


def test_tables_without_a_suite_are_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("suites", "metrics/digits"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "metrics/mine").mkdir()
    (tmp_path / "metrics/mine/summary.csv").touch()
    monkeypatch.chdir(tmp_path)
    report.main(tmp_path / "out")
    assert "note: metrics/mine is left out, because there is no suites/mine.yaml\n" in capsys.readouterr().err
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"digits", "index"}


def test_kept_filters_of_seeds_that_the_suite_no_longer_has_are_shown(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "metrics/digits", tmp_path / "digits")
    document = parse((ROOT / "suites/digits.yaml").read_text())
    document["benchmark"]["seeds"] = [1]
    published = parse((ROOT / "suites/published.yaml").read_text())
    assert "Every filter" in listed(document, tmp_path / "digits", published).page
