"""Three Ray nodes for all tests of a module."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import Cluster, cluster
from tests.tiny import ROOT


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head without cores, so that it runs no cell, and the nodes `one` and `two`."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: make test-cluster")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "CI": "1", "DVC_NO_ANALYTICS": "1"}
    with cluster(tmp_path_factory.mktemp("nodes"), environment, ("one", "two")) as found:
        yield found
