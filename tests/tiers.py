"""Cases of a test of which the quick run takes only some (see conftest.py)."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but(quick: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """The cases, all slow but those whose value, or first value of several, is among `quick`."""
    found, seen = [], set()
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        seen |= {values[0]} & set(quick)
        found.append(pytest.param(*values, marks=() if values[0] in quick else pytest.mark.slow))
    assert seen == set(quick), f"no cases: {set(quick) - seen}"
    return found
