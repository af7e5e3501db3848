"""Prunings and distillations that are killed end in the bits of those that were left alone."""

import os
import re
import subprocess
import sys

import pytest

from tests import tiny


@pytest.mark.slow
def test_kills_at_random_moments_and_in_atomic_writes_end_in_the_same_bits() -> None:
    command = [sys.executable, "-m", "tools.fuzz_kills", "--kills", "2", "--stride", "24", "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tiny.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = (
        r"(prune|distill): (\d+) killed by the clock, (\d+) at changes of files, (\d+) in writing; all ended in the same bits"
    )
    found = re.findall(line, done.stderr)
    assert [kind for kind, *_ in found] == ["prune", "distill"]
    assert all(int(at) >= 1 and int(half) >= 1 for _, _, at, half in found)
