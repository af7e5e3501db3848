"""Where and how precisely to compute."""

import os
import shutil
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.utils import deterministic

from lib.compiler import spare_optimizers
from lib.params.section import section
from lib.training.emulation import Emulated, native
from lib.training.launching import Rendezvous

COMPILERS = tuple(filter(None, (os.environ.get("CXX"), "g++", "clang++")))


@section
class Compute:
    """Where and how precisely to train; all of it decides the bits of the result.

    device: auto takes a GPU where there is one. threads: of each process; workers run several trainings at once.
    precision: of the forward passes in training; float16 scales the loss, so that small gradients do not vanish. A CPU without
    instructions for it rounds to it and computes in float32.
    train_remaining: once it is settled what stays, train that alone, at its widths: the same steps but for rounding, and
    faster; a network whose own code looks at the mode (if self.training) is trained at full width. processes: of each
    training, over which every mini-batch is shared out. rendezvous: how those of several machines find one another; null: all
    of them run on this one. compile: let torch compile networks for their training, which takes up to a minute, needs a C++
    compiler and makes steps faster; where hooks look into a network it stays as it is.
    """

    device: Literal["cpu", "cuda", "auto"]
    threads: Annotated[int, Field(ge=1, le=256)]
    precision: Literal["bfloat16", "float16", "float32"]
    train_remaining: bool
    processes: Annotated[int, Field(ge=1, le=4096)]
    rendezvous: Rendezvous | None
    compile: bool

    def __post_init__(self) -> None:
        """Every machine has as many processes as the others; what is compiled is trained by one."""
        if self.compile and self.processes > 1:
            msg = f"compile is true and processes {self.processes}: batch norms that see all processes cannot be compiled; "
            raise ValueError(msg + "set one of them to false, or 1")
        if self.rendezvous is not None and self.processes % self.rendezvous.nodes:
            msg = f"processes is {self.processes}, which {self.rendezvous.nodes} machines cannot share evenly; "
            raise ValueError(msg + "make it a multiple")

    @property
    def decisive(self) -> "Compute":
        """What decides the bits: all but where the processes run."""
        return replace(self, rendezvous=None)


def prepare(compute: Compute) -> torch.device:
    """Make torch deterministic and float32 exact, and choose the device.

    Raises ValueError when a GPU is asked for and there is none, or compiling without a compiler.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    torch.set_num_threads(compute.threads)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports the compiler: 2 seconds
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time and hides nothing: no kernel here reads it
    if compute.compile and not any(map(shutil.which, COMPILERS)):
        msg = f"compute.compile is true, and there is no C++ compiler ({', '.join(COMPILERS)}); install one or set it to false"
        raise ValueError(msg)
    _no_tf32()
    spare_optimizers()
    if compute.device == "cuda" and not torch.cuda.is_available():
        msg = "compute.device is cuda, but torch finds no CUDA device; set it to cpu or auto"
        raise ValueError(msg)
    if compute.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _no_tf32() -> None:
    """Let float32 be float32 on a GPU: with TF32's 10 bits no compact network would equal its masked one.

    By the older switches: torch.export fails where the newer ones (fp32_precision) say anything else than these
    (https://github.com/pytorch/pytorch/issues/166387).
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def autocast(compute: Compute, device: torch.device, *, cached: bool = True) -> torch.autocast:
    """The precision that the settings want, or a context that does nothing.

    cached: cast each weight once for as long as the context lasts; not for weights that change meanwhile.
    """
    if compute.precision == "float32":
        return torch.autocast(device.type, torch.bfloat16, enabled=False)
    half = torch.float16 if compute.precision == "float16" else torch.bfloat16
    if device.type == "cpu" and not native(half):
        return Emulated(half, cached=cached)
    return torch.autocast(device.type, half, cache_enabled=cached)


def scaler(compute: Compute, device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss in float16, whose smallest number is 6e-8; does nothing in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=compute.precision == "float16")


def device_name(device: torch.device) -> str:
    """What the device is called, e.g. the name of the GPU, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
