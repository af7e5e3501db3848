"""Which tests run: the quick ones, with `pytest --all` every one, and always what the command line names (`file.py::test`).

`@pytest.mark.slow` is for what takes long and is tested in part by a quick test too. `@pytest.mark.grid` is for tests of many
combinations: each value of each parameter is tested once, the other combinations are slow.
"""

import gc
from collections.abc import Sequence

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --all."""
    parser.addoption("--all", action="store_true", help="run the slow tests too")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests unless --all is given, or a test by its name."""
    if config.getoption("--all") or any("::" in word for word in config.args):
        return
    grids: dict[str, list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("grid"):
            grids.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out = {id(item) for cases in grids.values() for item in set(cases).difference(_covering(cases))}
    left_out |= {id(item) for item in items if item.get_closest_marker("slow")}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


def _covering(cases: Sequence[pytest.Function]) -> list[pytest.Function]:
    """Few cases that have every value of every parameter; of equally good ones the first."""
    values = {case: {(name, repr(value)) for name, value in case.callspec.params.items()} for case in cases}
    missing, chosen = set[tuple[str, str]]().union(*values.values()), list[pytest.Function]()
    while missing:
        chosen.append(max(cases, key=lambda case: len(values[case] & missing)))
        missing -= values[chosen[-1]]
    return chosen


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the tests do: libraries and thousands of tests."""
    gc.collect()
    gc.freeze()
