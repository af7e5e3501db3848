"""A packed network comes back bit for bit, or is refused; 10,000 damaged files are all refused."""

import hashlib
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
from lib.formats.packed import FRONT, opened, pack, sealed, unpack
from lib.formats.tensors import Reader, Sizes, read, write
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.quantization.sharing import share_
from lib.randomness import stream
from tests.fuzzing.container_parts import parted
from tests.fuzzing.memory import bounded
from tests.fuzzing.originals import unmasked
from tests.goldens import FOLDER
from tests.networks_for_tests import coupled_masks, lived_in, random_masks

CODERS = ("huffman", "ans")
NOTES = {"epochs": 3, "compaction": "scatter", "trained_on": {"device": "cpu"}}


def checkpoint(network: Network, kept: Kept | None = None) -> Checkpoint:
    return Checkpoint(network, kept, (3, 32, 32), (0.1, 0.2, 0.3), (0.25,) * 3, NOTES)


def small(name: str, mode: Any = "scatter", shortcut: Any = "end") -> Network:
    """Compact, with shared weights where k-means is quick."""
    network = lived_in(name, shortcut=shortcut)
    masks = random_masks(network) if name == "resnet8" else coupled_masks(network, 0.1)
    apply_(network, Kept(masks))
    made = compact(network, Kept(masks), mode)
    share_(made, {"*": 4} if name == "resnet8" else {"*conv1": 4})
    return made


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize(("name", "shortcut"), [("resnet8", "end"), ("resnet8", "both"), ("resnet18", "end")])
def test_a_network_comes_back_bit_for_bit(name: str, shortcut: Any, coder: Any) -> None:
    dense = [lived_in(name, shortcut=shortcut)] if name == "resnet8" else []  # the larger one takes seconds
    for network in (small(name, "scatter", shortcut), small(name, "coupled", shortcut), *dense):
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
    found = read(Reader(write(tensor, coder, "conv", Sizes())), tensor)
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


REFUSED = "this packed network is damaged, though its checksum is right: "
SMALL = unmasked()  # compact in both modes, one with hidden layers; and a dense one

HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "no such network": ({"name": "resnet9"}, "no network is called 'resnet9'"),
    "no classes": ({"num_classes": -1}, "num_classes: Input should be greater than or equal to 1, got -1"),
    "classes without end": ({"num_classes": 10**12}, "num_classes: Input should be less than or equal to 65536"),
    "classes": ({"num_classes": 65536}, "bytes are wanted, .* are left|no proper code"),
    "wide hidden layers": (
        {"arguments": {"hidden": [65536, 65536]}, "compaction": None},
        "asks for a network of 17,.* bytes, which the file of .* cannot hold",
    ),
    "many hidden layers": ({"arguments": {"hidden": [1] * 100_000}}, "arguments have more than 4096 characters"),
    "arguments of nobody": ({"arguments": {"nonsense": 1}}, "resnet8 cannot be built with .*nonsense.*TypeError"),
    "an argument of a wrong type": ({"arguments": {"shortcut": 3}}, "ValueError: shortcut must be .* got 3"),
    "no arguments": ({"arguments": None}, "arguments: Input should be a valid dictionary, got None"),
    "another mode": ({"compaction": True}, "compaction: Input should be 'scatter' or 'coupled', got True"),
    "no mode": ({"compaction": None}, "bytes are wanted|no proper code|are left over|is coded in way"),
    "channels": ({"in_channels": 4}, "the network reads 4 channels, its images have 3"),
    "a shape": ({"shape": [3, 10**9, 8]}, "shape.1: Input should be less than or equal to 8192"),
    "a mean": ({"mean": [0.1] * 1000}, "3 channels need as many means and deviations, got 1000 and 3"),
    "no mean": ({"mean": [0.1, 0.2, float("inf")]}, "its header holds Infinity, which is no finite number"),
    "no deviation": ({"std": [0.1, 0.2, 0.0]}, r"std\.2: Input should be greater"),
    "a key": ({"more": 1}, "more: Extra inputs are not permitted"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_no_network_has_are_refused(name: str) -> None:
    changes, reason = HEADERS[name]
    content = parted(SMALL[0]).container(**changes)
    with bounded(len(content)), pytest.raises(ValueError, match=REFUSED + f".*{reason}.*; get it anew"):
        unpack(content)


@pytest.mark.parametrize("name", ["os:system", "lib.atomic:write_text"])
def test_code_of_somebody_is_not_run_and_no_damage(name: str) -> None:
    content = parted(SMALL[0]).container(name=name)
    with pytest.raises(
        ValueError, match=f"^a file asks for the builder {name}, which is code of somebody; nothing of it was run"
    ):
        unpack(content)


TEXTS: dict[str, tuple[bytes, str]] = {
    "not compressed": (b"{}", "incorrect header check"),
    "no record": (zlib.compress(b"[]"), "its header is no JSON object"),
    "no json": (zlib.compress(b"{"), "its header is no JSON"),
    "nothing in it": (zlib.compress(b"{}"), "shape: Field required"),
    "twice the same": (zlib.compress(b'{"name": 1, "name": 1}'), "an object of 2 keys, 1 of them different"),
    "deep": (zlib.compress(b"[" * 10**5), "its header is no JSON"),
    "a bomb": (zlib.compress(b" " * 2**26), "has more than 2,097,152 bytes"),
    "something behind it": (zlib.compress(b"{}") + b"x", "goes on behind its end"),
    "cut": (zlib.compress(b"{}")[:-1], "its header is cut"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_headers_that_are_no_json_are_refused(name: str) -> None:
    text, reason = TEXTS[name]
    with bounded(len(text)), pytest.raises(ValueError, match=f"{REFUSED}.*{reason}"):
        unpack(sealed(len(text).to_bytes(4, "little") + text + bytes(400)))


def test_notes_cost_no_more_than_reading_may() -> None:
    notes = '"notes": {"a": [' + "[]," * 690_000 + "1], "
    content = parted(SMALL[0]).worded(lambda text: text.replace('"notes": {', notes))
    with bounded(len(content)):
        unpack(content)


@pytest.mark.parametrize("hidden", [[65536, 65536], [1024] * 60])
def test_a_small_file_does_not_unfold_to_a_large_network(hidden: list[int]) -> None:
    content = parted(SMALL[0]).unfolding(hidden)
    assert len(content) < 25_000
    with (
        bounded(len(content)),
        pytest.raises(ValueError, match=r"asks for a network of .* bytes, which the file"),
    ):
        unpack(content)


def test_a_network_of_constants_is_read() -> None:
    network = lived_in("vgg11")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.5)
    content = pack(checkpoint(network), "ans").content
    assert len(content) < 30_000
    assert all(bool((parameter == 0.5).all()) for parameter in unpack(content).network.parameters())


@pytest.mark.parametrize(
    ("ending", "value", "reason"),
    [
        ("conv1.weight", float("nan"), r"conv1\.weight holds NaN or infinite values"),
        ("classifier.bias", float("-inf"), r"classifier\.bias holds NaN or infinite values"),
        ("running_var", -1.0, r"running_var must not be negative, got -1"),
    ],
)
def test_values_that_no_network_has_are_refused(ending: str, value: float, reason: str) -> None:
    with pytest.raises(ValueError, match=f"{REFUSED}.*{reason}"):
        unpack(parted(SMALL[0]).poisoned(random.Random(0), ending, value))


def test_bytes_behind_the_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="9 bytes are left over"):
        unpack(parted(SMALL[0]).worded(str, last=bytes(9)))


@pytest.mark.parametrize(
    ("place", "byte", "reason"),
    [
        (0, 0, "conv1 keeps no filter, or some behind its last"),
        (0, 0xFF, "bytes are wanted|no proper code|are left over|is coded in way"),
    ],
)
def test_kept_filters_that_the_tensors_do_not_have_are_refused(place: int, byte: int, reason: str) -> None:
    parts = parted(SMALL[0])
    bitmaps = bytearray(parts.bitmaps)
    bitmaps[place : place + 2] = bytes([byte] * 2)
    with pytest.raises(ValueError, match=reason):
        unpack(parts._replace(bitmaps=bytes(bitmaps)).container())


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(ValueError, match="checksum is right: 4 bytes are wanted, 0 are left"):
        unpack(sealed(b""))


def test_other_types_than_float32_are_not_packed() -> None:
    with pytest.raises(ValueError, match=r"files hold float32, int64 and bool alone, got conv1\.weight \(torch\.float16\)"):
        pack(checkpoint(lived_in("resnet8").half()), "huffman")


@pytest.mark.parametrize("coder", CODERS)
def test_files_of_version_2_are_read_for_ever(coder: str) -> None:
    """Made once by this project; another library of codes, or another order of bits, would read other networks."""
    path = FOLDER / f"container_{coder}.bin"
    found = unpack(path.read_bytes())
    total = hashlib.sha256()
    for name, tensor in sorted(found.network.state_dict().items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    assert total.hexdigest() == "83fa470f1cef580cc9e2b94be2edc64067e28e0915258bf4af5c31c529a72fba"  # as in version 1
    assert (found.shape, found.notes) == ((3, 32, 32), NOTES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: b"", "this is no packed network"),
        (lambda content: b"PK" + content[2:], "this is no packed network"),
        (lambda content: content[:6] + b"\x01\x00" + content[8:], "has version 1, this reader knows 2"),
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
    norm = network.batch_norm(network.layers[1])
    assert norm is not None
    norm.bias.data[3] = float("nan")
    with pytest.raises(ValueError, match=rf"{network.layers[1].batch_norm}\.bias holds NaN or infinite values; "):
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
