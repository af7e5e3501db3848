"""Independent random streams from one seed, one for each purpose, so that no purpose disturbs another."""

import hashlib

import torch


def number(seed: int, *purpose: str | int) -> int:
    """A 63-bit number that depends on the seed and the purpose (words and counters), the same on every machine."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator of its own for one purpose, e.g. stream(seed, "augmentation", epoch)."""
    return torch.Generator().manual_seed(number(seed, *purpose))
