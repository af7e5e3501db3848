"""A parameter file means here what it means to DVC, and what DVC refuses is refused in one message."""

import datetime
import time
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml

from lib.params.dialect import DEEPEST, LARGEST, LONGEST, ParamsError, parse
from tests import tiny

SCALARS: dict[str, Any] = {
    "010": 10,
    "0777": 777,
    "0o17": 15,
    "0x10": 16,
    "1:30": "1:30",
    "no": "no",
    "on": "on",
    "yes": "yes",
    "true": True,
    "1_000": 1000,
    "1e-5": 1e-5,
    "1E3": 1000.0,
    "5.e-2": 0.05,
    "+2e-1": 0.2,
    ".5e0": ".5e0",
    "1e": "1e",
    "-.inf": float("-inf"),
    "~": None,
    "'1e-3'": "1e-3",
}


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_means_what_it_means_to_dvc(text: str) -> None:
    expected = SCALARS[text]
    found = parse(f"key: {text}\nlist:\n- {text}")
    assert found == {"key": expected, "list": [expected]} == parse_yaml(f"key: {text}\nlist:\n- {text}", "params.yaml")
    assert type(found["key"]) is type(expected)


@pytest.mark.parametrize("name", ["params.yaml", "suites/digits.yaml", "suites/published.yaml"])
def test_a_whole_file_means_what_it_means_to_dvc(name: str) -> None:
    text = (tiny.ROOT / name).read_text()
    assert parse(text) == parse_yaml(text, name)


@pytest.mark.parametrize(
    ("text", "line", "key"), [("a: 1\nb: 2\na: 3", 3, "a"), ("x: {lr: 1,\n lr: 2}", 2, "lr"), ("p:\n  q: 1\n  q: 1", 3, "q")]
)
def test_a_key_written_twice_is_refused_with_its_line(text: str, line: int, key: str) -> None:
    with pytest.raises(ParamsError, match=rf'not valid YAML: line {line}: found duplicate key "{key}" .*; correct that line$'):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when: 2020-01-01", r"^when: has the date datetime\.date\(2020, 1, 1\); put it in quotes to mean text$"),
        ("a:\n  when: 2020-01-01T10:00:00", r"^a\.when: has the datetime "),
        ("a: [!!binary aGk=]", r"^a\.0: has the bytes b'hi'"),
        ("a: !!set {b}", r"^a: has the set \{'b'\}"),
        ("a: {1: 2}", r"^a: has the int 1; put it in quotes to mean text$"),
        ("null: 2", r"^the parameter file: has the NoneType None; put it in quotes"),
        ("a: &a [*a]", r"^a\.0\.0.*: has an endless alias$"),
        ("a: !!int word", r"not valid YAML: invalid literal for int\(\) with base 10: 'word'; correct it$"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML: line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2", "not valid YAML: line 2: but found another document"),
        ("a: \x1b[2J", "not valid YAML: .*control characters are not allowed"),
    ],
)
def test_what_is_no_plain_value_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ParamsError, match=said) as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1


def _laughs(levels: int) -> str:
    return "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, levels))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 100_000, f"nests more than {DEEPEST} levels at line 1"),
        ("- " * 100_000, f"nests more than {DEEPEST} levels at line 1"),
        ("? " * 50_000, f"nests more than {DEEPEST} levels at line 1"),
        ("".join(f"{' ' * depth}k:\n" for depth in range(100)), f"nests more than {DEEPEST} levels at line {DEEPEST + 1}"),
        (_laughs(40), f"holds more than {LARGEST:,} values"),
        ("a: " + "x" * LONGEST, "characters, at most 1,000,000 are read"),
    ],
    ids=["brackets", "dashes", "questions", "indents", "laughs", "long"],
)
def test_a_file_that_would_exhaust_the_machine_is_refused_at_once(text: str, said: str) -> None:
    start = time.process_time()
    with pytest.raises(ParamsError, match=said):
        parse(text)
    assert time.process_time() - start < 2.0


def test_a_message_is_short_and_moves_no_cursor() -> None:
    with pytest.raises(ParamsError) as caught:
        parse('"' + "k" * 5000 + '\\u001b[2J": {1: "\\u001b[2J"}')
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_a_date_in_quotes_is_text() -> None:
    assert parse("when: '2020-01-01'") == {"when": "2020-01-01"}
    assert parse_yaml("when: 2020-01-01", "p") == {"when": datetime.date(2020, 1, 1)}
