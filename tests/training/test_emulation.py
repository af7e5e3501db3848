"""Half precision without instructions for it rounds as a processor with them does."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.training import device
from lib.training.device import autocast
from lib.training.emulation import Emulated, native
from tests.training.test_precision import COMPUTE

CPU = torch.device("cpu")
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
WEIGHT = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
BIAS = torch.randn(5, generator=torch.Generator().manual_seed(2))
KERNEL = torch.randn(5, 5, 3, 3, generator=torch.Generator().manual_seed(3))
CALLS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "conv1d": lambda x, w, b, k: functional.conv1d(x[:, :, 0], k[:, :, 0], b),  # noqa: ARG005
    "conv2d": lambda x, w, b, k: functional.conv2d(x, k, b, padding=1),  # noqa: ARG005
    "conv3d": lambda x, w, b, k: functional.conv3d(x[:, :, None], k[:, :, None], bias=b),  # noqa: ARG005
    "conv_transpose2d": lambda x, w, b, k: functional.conv_transpose2d(x, k, b),  # noqa: ARG005
    "linear": lambda x, w, b, k: functional.linear(x.mean((2, 3)), w, b),  # noqa: ARG005
    "matmul": lambda x, w, b, k: torch.matmul(x.mean((2, 3)), w),  # noqa: ARG005
    "@": lambda x, w, b, k: x.mean((2, 3)) @ w,  # noqa: ARG005
    "mm": lambda x, w, b, k: x.mean((2, 3)).mm(w),  # noqa: ARG005
    "bmm": lambda x, w, b, k: torch.bmm(x[0], x[1].mT),  # noqa: ARG005
    "addmm": lambda x, w, b, k: torch.addmm(b, x.mean((2, 3)), w),  # noqa: ARG005
}


def leaves(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """What the calls take, of numbers that bfloat16 does not hold."""
    images = torch.randn(2, 5, 7, 7, generator=torch.Generator().manual_seed(4))
    return [value.clone().to(dtype).requires_grad_() for value in (images, WEIGHT, BIAS, KERNEL)]


def outcome(call: str, context: torch.autocast, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """What a call gives, and the gradients of its squares."""
    given = leaves(dtype)
    with context:
        found = CALLS[call](*given)
    found.double().square().sum().backward()
    return [found.detach(), *(value.grad for value in given if value.grad is not None)]


@pytest.mark.parametrize("half", HALVES.values(), ids=list(HALVES))
@pytest.mark.parametrize("call", CALLS)
def test_it_rounds_as_autocast_does(call: str, half: torch.dtype) -> None:
    """torch's own loops add in another order and type, so that a number may be rounded to a neighbour."""
    ours = outcome(call, Emulated(half))
    theirs = outcome(call, torch.autocast("cpu", half))
    assert [value.dtype for value in ours] == [value.dtype for value in theirs]
    assert ours[0].dtype is half
    spacing = torch.finfo(half).eps
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.float(), other.float(), rtol=2 * spacing, atol=4 * spacing * float(other.abs().max()))


def test_a_product_is_exact_before_it_is_rounded() -> None:
    one, small = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[1.0, 2**-8, 2**-8]])
    with Emulated(torch.bfloat16):
        found = functional.linear(one, small)
    assert found.item() == 1 + 2**-7  # added in bfloat16, each 2**-8 would be lost


def test_what_goes_in_is_rounded() -> None:
    with Emulated(torch.bfloat16):
        found = functional.linear(torch.tensor([[1 + 2**-9]]), torch.ones(1, 1))
    assert found.item() == 1


@pytest.mark.parametrize("call", CALLS)
def test_float64_stays_what_it_is(call: str) -> None:
    plain = outcome(call, torch.autocast("cpu", enabled=False), torch.float64)
    ours = outcome(call, Emulated(torch.bfloat16), torch.float64)
    assert all(torch.equal(one, other) for one, other in zip(plain, ours, strict=True))


def test_a_part_that_wants_float32_has_it() -> None:
    given = leaves()[0]
    with Emulated(torch.bfloat16):
        with torch.autocast("cpu", enabled=False):
            inside = functional.conv2d(given, KERNEL)
        outside = functional.conv2d(given, KERNEL)
    assert torch.equal(inside, functional.conv2d(given, KERNEL))
    assert outside.dtype is torch.bfloat16
    assert functional.conv2d(given, KERNEL).dtype is torch.float32  # and nothing is left behind


def test_an_error_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), Emulated(torch.bfloat16):
        raise ZeroDivisionError
    assert functional.linear(BIAS, WEIGHT).dtype is torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_one_context_serves_every_step() -> None:
    context = Emulated(torch.bfloat16)
    found = [outcome("conv2d", context)[0] for _ in range(2)]
    assert torch.equal(*found)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("instructions", [True, False])
def test_the_processor_decides(monkeypatch: pytest.MonkeyPatch, name: str, instructions: bool) -> None:
    asked: list[torch.dtype] = []
    monkeypatch.setattr(device, "native", lambda half: asked.append(half) or instructions)
    found = autocast(replace(COMPUTE, precision=name), CPU)
    assert isinstance(found, Emulated) is not instructions
    assert asked == [HALVES[name]]
    assert found.fast_dtype is HALVES[name]


def test_a_processor_is_not_asked_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "native", None)
    assert type(autocast(replace(COMPUTE, precision="float32"), CPU)) is torch.autocast


@pytest.mark.parametrize("instructions", [True, False])
def test_weights_that_change_are_cast_anew_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, instructions: bool
) -> None:
    monkeypatch.setattr(device, "native", lambda _: instructions)
    layer = nn.Linear(5, 5)
    images = torch.ones(1, 5)
    with autocast(COMPUTE, CPU, cached=False):
        layer(images)
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
        assert not layer(images).any()


def test_a_network_trains_to_nearly_the_same() -> None:
    """One rounding apart: nearer to autocast than autocast is to float32."""
    torch.manual_seed(0)
    start = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.LazyLinear(4))
    images, labels = torch.randn(16, 3, 8, 8), torch.arange(16) % 4
    start(images)

    def trained(context: torch.autocast) -> Tensor:
        made = copy.deepcopy(start)
        optimizer = torch.optim.SGD(made.parameters(), lr=0.05, momentum=0.9)
        for _ in range(5):
            with context:
                loss = functional.cross_entropy(made(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return torch.cat([value.detach().flatten() for value in made.parameters()])

    ours, theirs = trained(Emulated(torch.bfloat16)), trained(torch.autocast("cpu", torch.bfloat16))
    exact = trained(torch.autocast("cpu", enabled=False))
    assert (ours - exact).norm() > 0
    assert (ours - theirs).norm() < (theirs - exact).norm()


def test_torch_is_asked_what_the_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not native(torch.bfloat16)
    monkeypatch.undo()
    assert native(torch.bfloat16) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
