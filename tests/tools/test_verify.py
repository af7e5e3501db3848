"""`python -m tools.verify`: a suite's own networks are scored too, for its file names the code that builds them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lib.formats.checkpoint import Checkpoint
from lib.formats.packed import pack
from lib.images.augmentation import STILL
from lib.images.dataset import load
from lib.images.minibatches import minibatches
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.params.suite import Benchmark, Suite
from lib.quantization.sharing import share_
from lib.randomness import stream
from lib.steps import zoo
from lib.training.evaluation import evaluate
from tests import tiny

CODE = """
from torch import nn
def make(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, num_classes))
"""
BUILDER = "code_of_test_verify:make"
SUITE = Suite("own", "digits", "mine", Benchmark("mine", ("mine",), ("l1",), (0.5,), ("none",), (0,), "coupled"))


def test_a_network_of_the_users_own_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code_of_test_verify.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    allow([BUILDER])
    data = load(tiny.digits(tmp_path))
    network = build(Architecture(BUILDER, 10, 1, (8, 8)), stream(0, "initialisation")).eval()
    share_(network, {"*": 3})
    content = pack(Checkpoint(network, None, data.shape, data.mean, data.std, {"epochs": 9}), "huffman").content
    top1 = round(evaluate(network, minibatches(data, data.splits["test"], STILL, torch.device("cpu"))).top1, 6)
    cells, encoded = tmp_path / "metrics/own/cells", tmp_path / "encoded"
    for folder in (cells, encoded, tmp_path / "suites"):
        folder.mkdir(parents=True)
    packed = {"encoded_top1": top1, "encoded_bytes": len(content)}
    (encoded / "dense-1.0-none-0.bin").write_bytes(content)
    (encoded / "dense-1.0-none-0.json").write_text(json.dumps(packed))
    numbers = {"validation_top1": 1.0, "top1": top1, "params": 7, "macs": 5, "macs_ratio": 1.0, "epochs": 9}
    (cells / "dense-1.0-none-0.json").write_text(json.dumps(packed | numbers))
    zoo.gather(SUITE, tmp_path, cells, {}, zoo.Origin("0123abc", "make repro"), tmp_path / "models/zoo/own")
    named = {"mine": {"builder": BUILDER, "arguments": {}, "weights": None}}
    own = {"suite": "own", "networks": named, "own_code": "code_of_test_verify.py"}
    (tmp_path / "suites/own.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    shutil.copy(tiny.ROOT / "params.yaml", tmp_path)
    shutil.copy(tiny.ROOT / "suites/digits.yaml", tmp_path / "suites")
    words = [sys.executable, "-m", "tools.verify", "--suite", "own", "--data", str(tmp_path / "digits")]
    paths = os.pathsep.join(map(str, (tmp_path, tiny.ROOT)))
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"own/dense-1.0-none-0: {top1:.2f} %, as card and table say\n", done.stderr
    assert done.returncode == 0
