"""Half precision is told to be slow where it is."""

from dataclasses import replace

import pytest
import torch

from lib.training import precision
from lib.training.device import Compute
from lib.training.precision import slow

COMPUTE = Compute(
    device="cpu",
    threads=1,
    precision="bfloat16",
    train_remaining=True,
    processes=1,
    rendezvous=None,
    compile=False,
)


def measured(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """Let half precision take so many times as long as float32."""
    monkeypatch.setattr(precision, "_seconds", lambda *_: (0.25 * times, 0.25))


@pytest.mark.parametrize(("times", "told"), [(15.04, "15"), (1.52, "1.5"), (2.96, "3"), (1.44, ""), (0.5, "")])
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_a_slow_precision_is_named_with_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, times: float, told: str, name: str
) -> None:
    measured(monkeypatch, times)
    said = slow(replace(COMPUTE, precision=name))
    if told:
        assert said.startswith(f"compute.precision: {name} is slow on this machine: a convolution takes {told} times as long ")
    else:
        assert said == ""


def test_nothing_is_measured_where_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> tuple[float, float]:
        raise AssertionError

    monkeypatch.setattr(precision, "_seconds", never)
    assert slow(replace(COMPUTE, precision="float32")) == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert slow(replace(COMPUTE, device="cuda")) == ""


def test_a_processor_without_instructions_is_as_fast_as_in_float32() -> None:
    """With torch's own loops it takes 15 times as long. A busy machine may disturb one look or another."""
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has bfloat16")
    assert any(slow(COMPUTE) == "" for _ in range(5))
