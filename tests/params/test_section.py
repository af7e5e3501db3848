"""Reading parameter sections: strict values, and every problem named with section, key, value and what is allowed."""

import json
from dataclasses import FrozenInstanceError
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from lib.params.section import ParamsError, check, parse, problems, read, section
from lib.training.schedules import BatchSize, Constant


@section
class Inner:
    """A section inside another."""

    size: Annotated[int, Field(gt=0)]


@section
class Example:
    """One key of every kind."""

    count: int
    rate: Annotated[float, Field(gt=0.0, lt=1.0)]
    flag: bool
    name: Literal["a", "b"]
    ratios: tuple[Annotated[float, Field(le=1.0)], ...]
    maybe: int | None
    inner: Inner


GOOD: dict[str, Any] = {
    "count": 3,
    "rate": 0.5,
    "flag": True,
    "name": "a",
    "ratios": [0.5, 1],
    "maybe": None,
    "inner": {"size": 2},
}


def _text(**changes: Any) -> str:
    return json.dumps({"outer": {"example": {**GOOD, **changes}}})  # JSON is YAML


def _read(text: str) -> Example:
    return read(parse(text), "outer.example", Example)


def test_a_good_section_is_read() -> None:
    found = _read(_text())
    assert found == Example(3, 0.5, flag=True, name="a", ratios=(0.5, 1.0), maybe=None, inner=Inner(2))
    assert isinstance(found.ratios[1], float)


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError, match="cannot assign to field"):
        _read(_text()).count = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-05", 1e-5), ("1e-3", 1e-3), ("1E-3", 1e-3), ("5.e-2", 0.05), ("1.0e-2", 0.01), ("+2e-1", 0.2)],
)
def test_floats_are_read_as_dvc_writes_them(text: str, value: float) -> None:
    document = parse(f"rate: {text}\nsame: [{text}]")
    assert document == {"rate": value, "same": [value]}
    assert isinstance(document["rate"], float)


@pytest.mark.parametrize("text", ["1e", "e-3", "1e-3x", "a1e-3", "'1e-3'"])
def test_words_stay_words(text: str) -> None:
    assert parse(f"name: {text}") == {"name": text.strip("'")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": True}, "outer.example.count: is True; input should be a valid integer"),
        ({"count": 1.5}, "outer.example.count: is 1.5; input should be a valid integer"),
        ({"count": "3"}, "outer.example.count: is '3'; input should be a valid integer"),
        ({"rate": "0.1"}, "outer.example.rate: is '0.1'; input should be a valid number"),
        ({"rate": True}, "outer.example.rate: is True; input should be a valid number"),
        ({"rate": 1.0}, "outer.example.rate: is 1.0; input should be less than 1"),
        ({"rate": 0}, "outer.example.rate: is 0; input should be greater than 0"),
        ({"rate": None}, "outer.example.rate: is None; input should be a valid number"),
        ({"flag": 1}, "outer.example.flag: is 1; input should be a valid boolean"),
        ({"flag": "yes"}, "outer.example.flag: is 'yes'; input should be a valid boolean"),
        ({"name": "c"}, "outer.example.name: is 'c'; input should be 'a' or 'b'"),
        ({"ratios": 0.5}, "outer.example.ratios: is 0.5; input should be a valid array"),
        ({"ratios": [0.5, 2.0]}, "outer.example.ratios.1: is 2.0; input should be less than or equal to 1"),
        ({"maybe": "x"}, "outer.example.maybe: is 'x'; input should be a valid integer"),
        ({"inner": {"size": 0}}, "outer.example.inner.size: is 0; input should be greater than 0"),
        ({"inner": {}}, "outer.example.inner.size: is missing; every key must be written, there are no defaults"),
        ({"inner": {"size": 1, "sise": 1}}, "outer.example.inner.sise: is unknown (value 1); remove it or correct"),
        ({"extra": 5}, "outer.example.extra: is unknown (value 5); remove it or correct its name"),
    ],
)
def test_a_problem_is_named_with_section_key_value_and_what_is_allowed(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=r"outer\.example\.") as caught:
        _read(_text(**change))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_key_is_named() -> None:
    document = parse(_text())
    del document["outer"]["example"]["rate"]
    with pytest.raises(ParamsError, match=r"^outer.example.rate: is missing; every key must be written, there are no def"):
        read(document, "outer.example", Example)


@pytest.mark.parametrize("text", ["other: 1", "outer: 1", "outer: {other: 1}", "outer:"])
def test_a_missing_section_is_named_with_a_model(text: str) -> None:
    with pytest.raises(ParamsError, match=r"^outer.example: this section is missing; add it .see suites/digits.yaml"):
        _read(text)


@pytest.mark.parametrize("value", ["1", "null", "[1]", "text"])
def test_a_section_that_is_no_mapping_is_refused(value: str) -> None:
    with pytest.raises(ParamsError, match=r"^outer.example: is .*input should be an object"):
        _read(f"outer: {{example: {value}}}")


def test_all_problems_come_in_one_error() -> None:
    document = parse(_text(count="3", rate=2.0, flag=0, name="c", extra=1))
    del document["outer"]["example"]["maybe"]
    with pytest.raises(ParamsError, match=r"outer.example") as caught:
        read(document, "outer.example", Example)
    lines = str(caught.value).splitlines()
    assert sorted(line.split(":")[0].split(".")[-1] for line in lines) == [
        "count",
        "extra",
        "flag",
        "maybe",
        "name",
        "rate",
    ]
    assert problems(document, "outer.example", Example) == lines


def test_several_sections_are_checked_together() -> None:
    document = parse("one: {size: 0}\ntwo: {size: 1}\nthree: {size: x}")
    with pytest.raises(ParamsError, match=r"(?s)one.size: is 0.*three.size: is 'x'.*four: this section is missing") as caught:
        check(document, dict.fromkeys(("one", "two", "three", "four"), Inner))
    assert len(str(caught.value).splitlines()) == 3
    check(document, {"two": Inner})
    assert problems(document, "two", Inner) == []


def test_a_kind_chooses_the_section() -> None:
    @section
    class Holder:
        """A choice."""

        batches: BatchSize

    good = parse("it: {batches: {kind: constant, size: 8, last: keep}}")
    assert read(good, "it", Holder).batches == Constant("constant", 8, "keep")
    with pytest.raises(
        ParamsError, match=r"it.batches.kind: is 'growing'; .* 'constant', 'linear-reset', 'linear-global', 'geometric'"
    ):
        read(parse("it: {batches: {kind: growing, size: 8, last: keep}}"), "it", Holder)
    with pytest.raises(ParamsError, match=r"it.batches.last: is 'wrap'; input should be 'keep', 'drop' or 'merge'"):
        read(parse("it: {batches: {kind: constant, size: 8, last: wrap}}"), "it", Holder)


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\t- x", "a: &b *c"])
def test_what_is_not_yaml_is_refused(text: str) -> None:
    with pytest.raises(ParamsError, match="the parameter file is not valid YAML"):
        parse(text)


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("- 1", "list"), ("text", "str")])
def test_what_holds_no_sections_is_refused(text: str, kind: str) -> None:
    with pytest.raises(ParamsError, match=f"must hold sections .key: value., got {kind}"):
        parse(text)


def test_yaml_tags_run_no_code() -> None:
    with pytest.raises(ParamsError, match=r"not valid YAML.*could not determine a constructor"):
        parse("a: !!python/object/apply:os.getcwd []")
