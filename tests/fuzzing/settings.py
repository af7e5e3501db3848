"""Parameter files that are wrong in one place: each must be refused, naming it."""

from collections.abc import Iterator
from pathlib import Path

from lib.params.section import ParamsError, parse
from lib.steps.document import check
from tests.fuzzing.judging import Outcome
from tests.fuzzing.parameters import wrong_files

NAME = "parameters"
GOOD = Path("params.yaml")


def run(seed: int, cases: int, folder: Path) -> Iterator[Outcome]:
    """The outcome of each case; the file of one that failed stays in the folder."""
    for number, (text, key) in enumerate(wrong_files(GOOD.read_text(), seed, cases)):
        path, said = folder / f"params-{seed}-{number}.yaml", ""
        try:
            check(parse(text))
        except ParamsError as error:
            said = str(error)
        if key in said:
            yield Outcome("refused")
            continue
        path.write_text(text)
        yield Outcome("wrong", f"{path}: {key} is wrong, and the answer is {said[:200] or 'that all is right'!r}")
