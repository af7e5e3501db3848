"""A packed network comes back bit for bit, or is refused; 10,000 damaged files are all refused."""

import json
import random
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint, save
from lib.formats.packed import FRONT, Sizes, _packed, _Reader, _unpacked, opened, pack, sealed, unpack
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.quantization.sharing import share_
from lib.randomness import stream
from lib.training.run import digest
from tests.goldens import FOLDER
from tests.networks_for_tests import lived_in, random_masks

CODERS = ("huffman", "ans")
NOTES = {"epochs": 3, "compaction": "scatter", "trained_on": {"device": "cpu"}}


def checkpoint(network: Network, kept: Kept | None = None) -> Checkpoint:
    return Checkpoint(network, kept, (3, 32, 32), (0.1, 0.2, 0.3), (0.25,) * 3, NOTES)


def small(name: str, mode: Any = "scatter", shortcut: Any = "end") -> Network:
    """Compact, with shared weights where k-means is quick."""
    network = lived_in(name, shortcut=shortcut)
    masks = random_masks(network)
    apply_(network, Kept(masks))
    made = compact(network, Kept(masks), mode)
    share_(made, {"*": 4} if name == "resnet8" else {"*conv1": 4})
    return made


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize(("name", "shortcut"), [("resnet8", "end"), ("resnet8", "both"), ("resnet18", "end")])
def test_a_network_comes_back_bit_for_bit(name: str, shortcut: Any, coder: Any) -> None:
    for network in (small(name, "scatter", shortcut), small(name, "coupled", shortcut), lived_in(name, shortcut=shortcut)):
        packed = pack(checkpoint(network), coder)
        found = unpack(packed.content)
        assert found.network.architecture == network.architecture
        assert (found.shape, found.mean, found.std, found.notes) == ((3, 32, 32), (0.1, 0.2, 0.3), (0.25,) * 3, NOTES)
        own = network.state_dict()
        for key, tensor in found.network.state_dict().items():
            assert tensor.dtype == own[key].dtype
            assert torch.equal(tensor, own[key])
        assert sum(packed.sizes.parts.values()) == len(packed.content)


def test_sharing_makes_the_file_a_fraction() -> None:
    network = lived_in("resnet20")
    plain = len(pack(checkpoint(network), "huffman").content)
    share_(network, {"*": 4})
    shared = pack(checkpoint(network), "huffman")
    assert len(shared.content) < plain / 6
    assert shared.sizes.entropy_bits <= shared.sizes.stream_bits <= 1.05 * shared.sizes.entropy_bits


tensors = st.one_of(
    st.lists(st.sampled_from([0.0, -0.0, 1.5, -2.25, float("inf")]), max_size=80).map(torch.tensor),
    st.lists(st.floats(width=32, allow_nan=False), max_size=80).map(torch.tensor),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40).map(lambda v: torch.tensor(v, dtype=torch.int64)),
    st.lists(st.sampled_from([-(2**40), 0, 7]), min_size=40, max_size=80).map(lambda v: torch.tensor(v, dtype=torch.int64)),
    st.integers(0, 9).map(lambda seed: torch.randint(200, (3000,), generator=stream(seed, "many")).float().sqrt()),
    st.integers(0, 70).map(lambda n: torch.full((n, 2), 0.75)),
    st.floats(width=32, allow_nan=False).map(torch.tensor),
)


@given(tensors, st.sampled_from(CODERS))
@settings(deadline=None)
def test_any_tensor_comes_back(tensor: Tensor, coder: Any) -> None:
    found = _unpacked(_Reader(_packed(tensor, coder, "conv", Sizes())), tensor)
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    assert found.numpy().tobytes() == tensor.numpy().tobytes()


@pytest.mark.parametrize("coder", CODERS)
def test_ten_thousand_damaged_files_are_refused(coder: Any) -> None:
    content = pack(checkpoint(small("resnet8")), coder).content
    dice = random.Random(0)
    for number in range(10_000):
        damaged = bytearray(content)
        kind = number % 4
        if kind == 0:
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del damaged[dice.randrange(len(damaged)) :]
        elif kind == 2:
            damaged += dice.randbytes(dice.randint(1, 64))
        else:
            place = dice.randrange(FRONT.size)
            damaged[place] ^= dice.randint(1, 255)
        with pytest.raises(ValueError, match=r"no packed network|has version|is damaged"):
            unpack(bytes(damaged))


@pytest.mark.parametrize("coder", CODERS)
def test_damage_under_a_right_checksum_is_refused_or_another_network_but_never_a_crash(coder: Any) -> None:
    body = pack(checkpoint(small("resnet8")), coder).content[FRONT.size :]
    dice, refused = random.Random(1), 0
    for number in range(200):
        damaged = bytearray(body)
        if number % 3 == 0:
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        elif number % 3 == 1:
            del damaged[dice.randrange(len(damaged)) :]
        else:
            damaged += dice.randbytes(dice.randint(1, 64))
        try:
            found = unpack(sealed(bytes(damaged)))
        except ValueError as error:
            assert str(error).startswith("this packed network is damaged, though its checksum is right: ")  # noqa: PT017
            refused += 1
        else:
            assert number % 3 == 0  # a bit of a raw number or of a codebook
            assert found.network.architecture.name == "resnet8"
    assert refused > 134


def _header(**changes: Any) -> bytes:
    known = {"name": "resnet8", "num_classes": 10, "in_channels": 3, "hidden": [], "dense": True, "notes": {}}
    known |= {"shape": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "std": [0.25] * 3} | changes
    return json.dumps({name: value for name, value in known.items() if value is not None}).encode()


HEADERS: dict[str, bytes] = {
    "not compressed": b"{}",
    "no record": zlib.compress(b"[]"),
    "no json": zlib.compress(b"{"),
    "a name missing": zlib.compress(_header(dense=None)),
    "no such network": zlib.compress(_header(name="resnet9")),
    "no classes": zlib.compress(_header(num_classes=-1)),
    "classes without end": zlib.compress(_header(num_classes=10**12)),
    "no channel kept": zlib.compress(_header(dense=False)),
    "a bomb": zlib.compress(b" " * 2**26 + _header()),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_no_network_has_are_refused(name: str) -> None:
    text = HEADERS[name]
    with pytest.raises(ValueError, match="this packed network is damaged, though its checksum is right: "):
        unpack(sealed(len(text).to_bytes(4, "little") + text + bytes(400_000)))


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(ValueError, match="checksum is right: 4 bytes are wanted, 0 are left"):
        unpack(sealed(b""))


def test_other_types_than_float32_are_not_packed() -> None:
    with pytest.raises(ValueError, match=r"only float32 networks are packed, got conv1\.weight \(torch\.float16\)"):
        pack(checkpoint(lived_in("resnet8").half()), "huffman")


@pytest.mark.parametrize("coder", CODERS)
def test_files_of_version_1_are_read_for_ever(coder: str) -> None:
    """Made once by this project; another library of codes, or another order of bits, would read other networks."""
    path = FOLDER / f"container_{coder}.bin"
    found = unpack(path.read_bytes())
    assert digest(found.network) == "d42abe9a7b7c8cbdbac2f88f963c06fc2044c9486e87adc98fd551e714899fdc"
    assert (found.shape, found.notes) == ((3, 32, 32), NOTES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: b"", "this is no packed network"),
        (lambda content: b"PK" + content[2:], "this is no packed network"),
        (lambda content: content[:6] + b"\x02\x00" + content[8:], "has version 2, this reader knows 1"),
        (lambda content: content[:-1], "damaged"),
    ],
)
def test_what_is_wrong_is_said(change: Any, said: str) -> None:
    content = pack(checkpoint(small("resnet8")), "ans").content
    with pytest.raises(ValueError, match=said):
        unpack(change(content))


def test_a_masked_network_is_not_packed() -> None:
    network = lived_in("resnet8")
    with pytest.raises(ValueError, match="only a network without masks"):
        pack(checkpoint(network, Kept(random_masks(network))), "huffman")


def test_nan_is_not_packed() -> None:
    network = lived_in("resnet8")
    network.batch_norm(network.wires[1]).bias.data[3] = float("nan")
    with pytest.raises(ValueError, match=rf"NaN in {network.wires[1].batch_norm}\.bias: "):
        pack(checkpoint(network), "huffman")


def test_a_file_is_opened_by_what_it_holds(tmp_path: Path) -> None:
    network = lived_in("resnet8")
    save(tmp_path / "a.safetensors", checkpoint(network))
    for name in ("b.bin", "c"):
        (tmp_path / name).write_bytes(pack(checkpoint(network), "huffman").content)
    for name in ("a.safetensors", "b.bin", "c"):
        found = opened(tmp_path / name).network.state_dict()
        assert all(torch.equal(tensor, found[key]) for key, tensor in network.state_dict().items())
    (tmp_path / "b.bin").write_bytes((tmp_path / "c").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"b\.bin: this packed network is damaged: \d+ bytes of \d+"):
        opened(tmp_path / "b.bin")
    (tmp_path / "b.bin").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"b\.bin: this is no packed network"):
        opened(tmp_path / "b.bin")
