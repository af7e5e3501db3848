"""The pages of all committed suites are made of what is in git."""

from pathlib import Path

import pytest

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
