"""Feed damaged and hostile inputs to the product; fail when one is answered by anything but the right value or one message.

python -m tools.fuzz --cases 10000 [--kind containers] [--seed 0] [--keep FOLDER]
"""

import tempfile
from pathlib import Path
from typing import Annotated

from stages.command import run


def main(
    cases: Annotated[int, "of each kind"],
    kind: Annotated[str | None, "one kind; all if left out"] = None,
    seed: Annotated[int, "another one makes other cases"] = 0,
    keep: Annotated[Path | None, "a folder for the files of failed cases; none if left out"] = None,
) -> None:
    """All kinds, or one."""
    from tests.fuzzing.kinds import all_kinds, count_failures

    kinds = all_kinds()
    if kind is not None and kind not in kinds:
        msg = f"--kind: there is no {kind!r}; there are: {', '.join(sorted(kinds))}"
        raise ValueError(msg)
    with tempfile.TemporaryDirectory() as temporary:
        (folder := keep or Path(temporary)).mkdir(parents=True, exist_ok=True)
        failures = sum(count_failures(kinds[name], seed, cases, folder) for name in ([kind] if kind else sorted(kinds)))
    if failures:
        msg = f"{failures} cases failed, see above"
        raise ValueError(msg)


if __name__ == "__main__":
    run(main)
