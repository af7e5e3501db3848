"""Files that are wrong in one place are refused, and the refusal names it."""

import pytest

from lib.params.section import ParamsError, parse
from lib.steps.document import check
from tests import tiny
from tests.fuzzing.parameters import wrong_files

TEXT = (tiny.ROOT / "params.yaml").read_text()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hundred_wrong_files_are_each_refused_naming_the_key(seed: int) -> None:
    for text, key in wrong_files(TEXT, seed, 100):
        with pytest.raises(ParamsError) as caught:
            check(parse(text))
        said = str(caught.value)
        assert key in said, text
        assert all(line.isprintable() for line in said.split("\n"))
        assert len(said) < 20_000


def test_the_same_seed_gives_the_same_files_and_another_gives_others() -> None:
    assert list(wrong_files(TEXT, 1, 5)) == list(wrong_files(TEXT, 1, 5))
    assert list(wrong_files(TEXT, 1, 5)) != list(wrong_files(TEXT, 2, 5))
