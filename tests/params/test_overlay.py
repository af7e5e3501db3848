"""A parameter file as what differs from another one: the right values, and the comments of both."""

import pytest
import yaml

from lib.params.overlay import overlaid

BASE = """# The base.
suite: base

teacher:   # it teaches
  epochs: 10   # of training
  schedule: {kind: one_cycle, peak: 0.3}
  file: null   # none

benchmark:
  methods: [a, b]   # names
  ratios: {}
"""


def test_an_empty_change_keeps_everything_but_the_head() -> None:
    assert overlaid(BASE, "# Mine.\nsuite: base\n") == BASE.replace("# The base.", "# Mine.")


def test_mappings_merge_and_the_rest_replaces() -> None:
    text = overlaid(BASE, "suite: mine\nteacher: {epochs: 3, new: 1}\nbenchmark:\n  methods: [c]\n  ratios: {x.1: 32}\n")
    assert yaml.safe_load(text) == {
        "suite": "mine",
        "teacher": {"epochs": 3, "schedule": {"kind": "one_cycle", "peak": 0.3}, "file": None, "new": 1},
        "benchmark": {"methods": ["c"], "ratios": {"x.1": 32}},
    }
    assert "methods: [c]      # names" in text
    assert "epochs: 3    # of training" in text
    assert "teacher:   # it teaches" in text
    assert "file: null   # none" in text


def test_a_marked_mapping_replaces_and_leaves_no_mark() -> None:
    text = overlaid(BASE, "teacher:\n  schedule: !replace {kind: constant}\nbenchmark: !replace\n  new: !replace {a: 1}\n")
    assert yaml.safe_load(text)["teacher"]["schedule"] == {"kind": "constant"}
    assert yaml.safe_load(text)["benchmark"] == {"new": {"a": 1}}
    assert "!" not in text


def test_a_mark_before_a_list_says_what_a_list_does_anyway_and_one_before_a_value_is_refused() -> None:
    assert yaml.safe_load(overlaid(BASE, "benchmark:\n  seeds: !replace [1]\n"))["benchmark"]["seeds"] == [1]
    assert yaml.safe_load(overlaid(BASE, "benchmark:\n  seeds: !replace\n  - 1\n"))["benchmark"]["seeds"] == [1]
    with pytest.raises(ValueError, match=r"!replace stands before '3'; mark mappings, a value replaces anyway"):
        overlaid(BASE, "suite: !replace 3\n")


def test_a_comment_behind_a_stated_value_replaces_that_of_the_base() -> None:
    text = overlaid(BASE, "teacher:\n  epochs: 3   # too few\n\nbenchmark:\n  methods: [c]\n")
    assert "epochs: 3   # too few" in text
    assert "of training" not in text


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("teacher: {epochs: 3, epochs: 4}", "it is not valid YAML: .*duplicate key"),
        ("teacher: [", "it is not valid YAML: "),
        ("", r"it must hold sections \(key: value\), and holds NoneType"),
        ("- suite", r"it must hold sections \(key: value\), and holds CommentedSeq"),
    ],
)
def test_what_is_no_mapping_is_refused(overlay: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlaid(BASE, overlay)
