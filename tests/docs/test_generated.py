"""The generated pages: each fact from where it stands, and a page that is out of date is named."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import Field

from docs.generator import readme, registry, results
from docs.generator.allowed import allowed
from docs.generator.markdown import prose, rows, table, written
from docs.generator.meanings import comments, meanings
from docs.generator.pages import DEFAULTS, METHODS, TERMS, changed, pages, stale
from docs.generator.settings import Entry, entries
from lib import plugins
from lib.distillation import terms
from lib.params.section import parse, section
from lib.pruning import methods
from lib.steps.document import Document
from tests.tiny import ROOT

TEXT = (ROOT / DEFAULTS).read_text()
DEFAULT = parse(TEXT)
TABLE = """# tiny: resnet8 on digits

| Method | Keep ratio | Top-1 % |
| ------ | ---------- | ------: |
| dense  | 1.0        |   99.72 |
| l1     | 0.5        |   99.44 |
| l1     | 0.25       |   98.61 |

- Teacher: resnet20. Compaction: scatter. Seeds: 0.

| Source |
| ------ |
| [1]    |
"""
LATENCY = """# tiny: latency

## In the fastest runtime, 1 thread

| Method | Keep ratio | FLOPs (MACs) | Speed-up, batch 1 (openvino) |
| ------ | ---------- | ------------ | ---------------------------: |
| dense  | 1.0        | 9 (1.00×)    |                      1.00 ms |
| l1     | 0.25       | 3 (3.00×)    |             1.50 (1.40-1.60) |

## 1 thread, batch 1

| Other |
| ----- |
| table |
"""  # noqa: RUF001


@section
class Inner:
    """size: how many."""

    size: int


@section
class Outer(Inner):
    """A page's example. rate_first, rate_last: at both ends. kind: one of two; it may be long, see `else`.

    inner: a section. several: by name.
    """

    rate_first: Annotated[float, Field(gt=0.0, le=1.0)]
    rate_last: float | None
    kind: Literal["a", "b"]
    inner: Inner | None
    several: Mapping[str, Inner]
    silent: bool


def suite(folder: Path) -> Path:
    """The metrics of a suite called tiny, as far as the pages look at them."""
    made = folder / "metrics" / "tiny"
    (made / "latency").mkdir(parents=True)
    (made / "table.md").write_text(TABLE)
    (made / "latency.md").write_text(LATENCY)
    (made / "summary.json").write_text('{"cells": {"found": 2, "expected": 3}}')
    (made / "latency" / "machine.json").write_text('{"device": "abacus", "threads": 1, "versions": {"torch": "2.14.0"}}')
    return made


def test_a_suite_that_is_not_timed_has_its_section(tmp_path: Path) -> None:
    folder = suite(tmp_path)
    machine = folder / "latency" / "machine.json"
    assert "- Timed on: abacus, 1 thread, torch 2.14.0" in results.suite(folder)
    machine.write_text(machine.read_text().replace("1", '"1, 2"', 1))
    assert "- Timed on: abacus, 1 and 2 threads, torch" in results.suite(folder)
    machine.unlink()
    assert "- Timed on: not timed yet" in results.suite(folder)


def test_settings_are_walked_down_to_their_leaves_with_what_is_said_of_them() -> None:
    values = {
        "size": 3,
        "rate_first": 0.5,
        "rate_last": None,
        "kind": "a",
        "inner": {"size": 4},
        "several": {"x": {"size": 5}},
        "silent": True,
    }
    assert list(entries(Outer, values, "top", {"top.silent": "a comment", "top.kind": "not this"})) == [
        Entry("top.size", "whole number", "3", "how many"),
        Entry("top.rate_first", "number > 0, ≤ 1", "0.5", "at both ends"),
        Entry("top.rate_last", "number; or null", "null", "at both ends"),
        Entry("top.kind", "`a` or `b`", "a", "one of two; it may be long, see `else`"),
        Entry("top.inner", "a section; or null", "", "a section"),
        Entry("top.inner.size", "whole number", "4", "how many"),
        Entry("top.several", "a section each, by name", "x", "by name"),
        Entry("top.several.*.size", "whole number", "", "how many"),
        Entry("top.silent", "true or false", "true", "a comment"),
    ]


def test_every_setting_has_a_meaning() -> None:
    found = list(entries(Document, DEFAULT, "", comments(TEXT)))
    for package, place in ((methods, ("prune", "methods")), (terms, ("distill", "terms"))):
        for name in plugins.names(package):
            kind = plugins.settings(plugins.find(package, name))
            values = DEFAULT[place[0]][place[1]][name]
            found += entries(kind, values, ".".join((*place, name)), comments(TEXT))
    assert [entry.place for entry in found if not entry.meaning] == []
    assert {"suite", "data.split_seed", "prune.methods.kdfs.threshold", "distill.terms.kd.temperature"} <= {
        entry.place for entry in found
    }


def test_a_name_with_a_star_means_all_that_begin_so() -> None:
    class Starred(Outer):
        """rate_*: of the beginning and the end."""

    assert meanings(Starred)["rate_first"] == meanings(Starred)["rate_last"] == "of the beginning and the end"


def test_comments_are_found_by_their_place() -> None:
    text = 'a: 1  # one\nb:   # a section\n  c: "x"   # inside\n  d: {e: 1}\nc: 2\n# alone: nothing\n'
    assert comments(text) == {"a": "one", "b": "a section", "b.c": "inside"}


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (tuple[int, ...], "list of: whole number"),
        (Mapping[str, Annotated[float, Field(ge=0.0)]], "by name: number ≥ 0"),
        (Annotated[int, Field(lt=2**32)], "whole number < 4,294,967,296"),
        (str | Inner, "text; or a section"),
        (Literal["a"], "`a`"),
    ],
)
def test_what_is_allowed_is_said_in_words(hint: Any, words: str) -> None:
    assert allowed(hint) == words


def test_a_docstring_is_taken_apart() -> None:
    text = """Sum.\n\nA, B, "T", 2020\nReference: code\nin two lines.\n\n    x = 1\n\nText here.\nDeparts: all\nof it."""
    found = registry.parts(cast("Any", SimpleNamespace(__doc__=text)))
    assert found == ("Sum.", 'A, B, "T", 2020\n', "code\nin two lines.", ("    x = 1", "Text here.\n"), "all\nof it.")


@pytest.mark.parametrize("which", [METHODS, TERMS], ids=["methods", "terms"])
def test_the_page_of_a_registry_has_every_plug_in_with_all_it_says(which: registry.Registry) -> None:
    page = registry.page(which, DEFAULT, comments(TEXT))
    for name in plugins.names(which.package):
        block = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        words = (plugins.find(which.package, name).__doc__ or "").replace("Reference:", "").replace("Departs:", "").split()
        assert [word for word in words if word not in block and prose(word) not in block] == [], name
        fields = plugins.settings(plugins.find(which.package, name)).__dataclass_fields__
        assert all(f"`{which.section}.{name}.{field}`" in block for field in fields)


def test_results_name_the_lock_or_say_that_there_is_none(tmp_path: Path) -> None:
    folder = suite(tmp_path)
    page = results.suite(folder)
    assert page.startswith("## tiny: resnet8 on digits\n")
    assert "- Lock: none: the suite was run before there were locks" in page
    assert "- Cells: 2 of 3\n- Timed on: abacus, 1 thread, torch 2.14.0" in page
    assert "| l1 | 0.25 | 98.61 |" in page
    assert "[1]" not in page
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "tiny.lock").write_text("outs: [metrics/other/table.md]")
    assert not results.locked(folder)
    (tmp_path / "suites" / "tiny.lock").write_text("outs: [metrics/tiny/table.md]")
    assert "- Lock: `suites/tiny.lock`" in results.suite(folder)


def test_results_show_the_head_of_a_long_table(tmp_path: Path) -> None:
    folder = suite(tmp_path)
    many = "".join(f"| m{number} | 0.5 | 90.00 |\n" for number in range(40))
    (folder / "table.md").write_text(TABLE.replace("| l1     | 0.25       |   98.61 |\n", many))
    page = results.suite(folder)
    assert "| m27 |" in page
    assert "| m28 |" not in page
    assert "12 more rows stand in the whole table." in page


def test_the_readme_shows_each_network_with_its_speed(tmp_path: Path) -> None:
    found = readme.table(suite(tmp_path))
    assert rows(found) == [
        ["Method", "Top-1 %", "Speed-up, batch 1 (openvino)"],
        ["dense", "99.72", "1.00 ms"],
        ["l1", "99.44", ""],
        ["l1", "98.61", "1.50 (1.40-1.60)"],
    ]
    text = readme.filled(f"a\n{readme.BEGIN}\nold\n{readme.END}\nb\n", found)
    assert text == f"a\n{readme.BEGIN}\n{found}\n{readme.END}\nb\n"
    assert readme.filled(text, found) == text


def test_the_readme_says_what_differs_below_its_table(tmp_path: Path) -> None:
    folder = suite(tmp_path).rename(tmp_path / "metrics" / readme.SUITE)
    text = TABLE.replace(
        "Seeds: 0.\n",
        "Seeds: 0.\n- Rank is\n\n## What differs\n\n- In brackets behind each\n- Against l1 (1 point): worse: l2.\n",
    )
    (folder / "table.md").write_text(text)
    below = [
        "- Teacher: resnet20. Compaction: scatter. Seeds: 0.",
        "- In brackets behind each",
        "- Against l1 (1 point): worse: l2.",
    ]
    assert readme.main(tmp_path).endswith("\n\n" + "\n".join(below))


def test_pages_show_speed_once_it_is_measured(tmp_path: Path) -> None:
    folder = suite(tmp_path)
    assert "| l1 | 0.25 | 3 (3.00×) | 1.50 (1.40-1.60) |" in results.suite(folder)  # noqa: RUF001
    assert "Other" not in results.suite(folder)
    (folder / "latency.md").write_text("# tiny: latency\n\nNo latency has been measured yet\n")
    assert "Speed-up" not in results.suite(folder)
    assert rows(readme.table(folder))[0] == ["Method", "Top-1 %"]


def test_a_network_that_was_not_timed_has_a_blank_speed(tmp_path: Path) -> None:
    folder = suite(tmp_path)
    (folder / "latency.md").write_text(LATENCY.replace("| l1     | 0.25 ", "| l2     | 0.25 "))
    assert rows(readme.table(folder))[2:] == [["l1", "99.44", ""], ["l1", "98.61", ""]]


def test_a_readme_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"README.md has no place for the table; write the lines <!-- table"):
        readme.filled("nothing\n", "| a |")


def test_markdown_is_kept_from_meaning_something_else() -> None:
    assert prose("layer3.* and `a*b`, <u> but < 1") == "layer3.\\* and `a*b`, \\<u> but < 1"
    assert table(["a"], [["x | y"]]) == "| a |\n| --- |\n| x \\| y |"
    assert written({"a": [1, None], "b": True, "c": "x"}) == "{a: [1, null], b: true, c: x}"


def test_a_stale_page_is_named(tmp_path: Path) -> None:
    made = pages(ROOT)
    for path, page in made.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(page.text)
    assert stale(tmp_path, made, measured=True) == []
    (tmp_path / "docs/terms.md").write_text("old")
    (tmp_path / "docs/results.md").unlink()
    assert stale(tmp_path, made, measured=True) == ["docs/terms.md", "docs/results.md"]
    assert stale(tmp_path, made, measured=False) == ["docs/terms.md"]


def test_a_folder_that_differs_from_the_commit_is_seen(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/a").write_text("1")
    assert changed(tmp_path, "metrics")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
    (tmp_path / "other").write_text("1")
    assert not changed(tmp_path, "metrics")
    (tmp_path / "metrics/a").write_text("2")
    assert changed(tmp_path, "metrics")


def test_the_worth_of_distillers_is_shown_without_what_comes_after_it(tmp_path: Path) -> None:
    own = "| Distiller | Δ none |\n| --- | --- |\n| kd | +1.00 |\n\n- Each Δ is in points."
    picture = f"![What distillers add](../metrics/{tmp_path.name}/distillers.png)"
    for after in ("", "\n\n## Published\n\nothers", "\n\nMissing cells (1): a"):
        assert results.distillers(tmp_path, f"# a\n\n{results.WORTH}\n\n{own}{after}\n") == [own, picture]
    assert results.distillers(tmp_path, "# a\n\n## Published\n") == []


def test_the_command_fails_for_a_stale_page_and_writes_nothing(tmp_path: Path) -> None:
    for name in ("suites", "metrics", "docs", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/measured").symlink_to(ROOT / "docs/measured")
    words = [sys.executable, "-m", "tools.docs", "--check"]
    done = subprocess.run(
        words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    named = ", ".join(
        f"docs/{name}.md" for name in ("recipe", "ahsg", "methods", "terms", "parameters", "scale-plan", "results")
    )
    assert done.stderr.startswith(f"error: stale: {named}")
    assert done.stderr.endswith("; write them anew with: python -m tools.docs\n")
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["measured"]


def test_a_plug_in_without_settings_in_the_base_suite_is_named_with_the_cure() -> None:
    document = parse(TEXT)
    del document["prune"]["methods"]["l1"]
    with pytest.raises(
        ValueError, match=r"l1 has no settings under `prune\.methods` of suites/digits\.yaml.*; add them there"
    ):
        registry.page(METHODS, document, {})
