"""The worked pages work from their text alone: their code is written into a copy of the project, their commands are run."""

from pathlib import Path

import pytest

from tests.docs.worked import Block, blocks, copy, follow, patched
from tests.tiny import ROOT

PAGES = sorted((ROOT / "docs/extending").glob("[a-z]*.md"))


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem, marks=[] if page.stem == "method" else pytest.mark.slow) for page in PAGES]
)
def test_a_page_works_from_its_text_alone(page: Path, tmp_path: Path) -> None:
    found = blocks(page.read_text())
    assert any(block.language == "sh" for block in found)
    assert any(block.title for block in found)
    project = copy(tmp_path)
    for block in found:
        follow(block, project)


def test_new_files_have_the_style_of_the_project(tmp_path: Path) -> None:
    project = copy(tmp_path)
    for page in PAGES:
        for block in blocks(page.read_text()):
            if block.title and block.language in ("python", "diff"):
                follow(block, project)
    from tests.docs.worked import run

    run("ruff check . && ruff format --check . && lint-imports", project)


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/extending/README.md").read_text()
    assert all(f"[{page.name}]({page.name})" in index for page in PAGES)
    assert {page.stem for page in PAGES} == {"method", "term", "network", "data-source", "runtime", "stage"}


def test_a_change_is_made_where_its_lines_stand() -> None:
    assert patched("a\nb\nc\n", " b\n+x\n") == "a\nb\nx\nc\n"
    assert patched("a\nb\nc\n", "-b\n+x\n") == "a\nx\nc\n"
    with pytest.raises(AssertionError, match="stands there 0 times"):
        patched("a\nc\n", " b\n+x\n")
    with pytest.raises(AssertionError, match="stands there 2 times"):
        patched("b\nb\n", " b\n+x\n")


def test_blocks_are_found_with_language_and_title() -> None:
    text = '```python title="a.py"\nx\n```\n\n```\nno language\n```\n```sh\nls\n```\n'
    assert blocks(text) == [Block("python", "a.py", "x\n"), Block("sh", "", "ls\n")]
