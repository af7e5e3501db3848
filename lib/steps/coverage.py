"""The body of tool `coverage`: many networks one after the other, each in a process of its own, and what came of them."""

import json
import multiprocessing
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import torch

from lib.atomic import write_text
from lib.networks.builders import allow
from lib.networks.network import Network
from lib.steps import peer, probe, specimen
from lib.steps.peer import Peer
from lib.steps.probe import Record, Wanted

TRANSFORMERS = ("vit", "swin", "maxvit")  # torchvision's classifiers that are no convolutional networks
# popular ones, a family each, and the last three are known to be hard
TIMM = (
    *("resnet50", "resnext50_32x4d", "seresnet50", "res2net50_26w_4s", "resnetv2_50", "cspresnet50", "cspdarknet53"),
    *("darknet53", "densenet121", "dla34", "dpn68", "efficientnet_b0", "tf_efficientnetv2_s", "mixnet_s", "rexnet_100"),
    *("mobilenetv3_large_100", "mobilenetv4_conv_small", "ghostnet_100", "regnety_016", "repvgg_a0", "mobileone_s0"),
    *("hrnet_w18", "ese_vovnet19b_dw", "selecsls42b", "inception_v4", "xception41", "convnext_tiny"),
    *("edgenext_small", "efficientvit_b0", "nfnet_f0"),
)
LIMIT, PEER_LIMIT = 3600.0, 300.0  # seconds that one network may take us, and torch-pruning
LIBRARIES = ("torch", "torchvision", "timm", "torch-pruning")
R = TypeVar("R", Record, Peer)


@dataclass
class Run:
    """What the records leave out. sizes: of images, by network; peers: what torch-pruning did."""

    keep_ratio: float
    mode: str
    machine: str
    versions: Mapping[str, str]
    sizes: dict[str, int] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)


def defaults() -> tuple[str, ...]:
    """The networks that are tried without a name: torchvision's convolutional classifiers, and thirty of timm's."""
    from torchvision import models

    own = [name for name in models.list_models(module=models) if not name.startswith(TRANSFORMERS)]
    return (*(f"torchvision:{name}" for name in own), *(f"timm:{name}" for name in TIMM))


def cover(
    names: Sequence[str],
    wanted: Wanted,
    run: Run,
    *,
    with_peer: bool,
    before: Sequence[Record] = (),
    save: Callable[[Sequence[Record], Run], None],
) -> Iterator[Record]:
    """Examine every network that has no record yet; `save` is given all records after each. Yields all, in the order of names.

    Raises ValueError where torch-pruning is asked for and not installed.
    """
    if with_peer and not peer.installed():
        msg = "--peer compares with torch-pruning, which is not installed; install it: pip install torch-pruning"
        raise ValueError(msg)
    known = {record.network: record for record in before}
    for name in names:
        if name not in known or (with_peer and known[name].traced and name not in run.peers):
            known[name], other = _apart(name, wanted, with_peer=with_peer)
            run.sizes[name] = wanted.side(name)
            if other is not None:
                run.peers[name] = other
            save(list(known.values()), run)
        yield known[name]


def _apart(name: str, wanted: Wanted, *, with_peer: bool) -> tuple[Record, Peer | None]:
    """One network in a process of its own, which may run out of memory or time."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin) as own:
        record = _answer(own.submit(_examined, name, wanted), Record(name, False), LIMIT)
        other = _answer(own.submit(_peer_on, name, wanted), Peer(name), PEER_LIMIT) if with_peer and record.traced else None
    return record, other


def _answer(future: "Future[R]", otherwise: R, limit: float) -> R:
    """What the process finds; `otherwise`, with the reason, where it finds nothing."""
    try:
        error = future.exception(limit)
    except TimeoutError:
        for process in multiprocessing.active_children():
            process.kill()
        return replace(otherwise, reason=f"no answer in {limit:.0f} s")
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        return replace(otherwise, reason="its process was killed, probably for memory")
    return replace(otherwise, reason=str(error) if isinstance(error, ValueError) else probe.told(error))


def _begin() -> None:
    """In the other process: one thread, so that seconds compare."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def _examined(name: str, wanted: Wanted) -> Record:
    return probe.examine(_built(name, wanted), wanted)


def _peer_on(name: str, wanted: Wanted) -> Peer:
    return peer.tried(_built(name, wanted), wanted.keep_ratio)


def _built(name: str, wanted: Wanted) -> Network:
    allow([name])  # the user named it
    return specimen.alive(name, wanted.side(name))


def here() -> Mapping[str, str]:
    """The versions of the libraries that are installed."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """In words."""
    return f"{platform.machine()}, one thread"


def beside(path: Path) -> Path:
    """The file of a run's settings and peers, beside that of its records."""
    return path.with_suffix(".run.json")


def saved(path: Path) -> Callable[[Sequence[Record], Run], None]:
    """Writes both files anew."""

    def save(records: Sequence[Record], run: Run) -> None:
        write_text(path, json.dumps([asdict(record) for record in records], indent=1) + "\n")
        write_text(beside(path), json.dumps(asdict(run), indent=1) + "\n")

    return save


def loaded(path: Path) -> tuple[list[Record], Run]:
    """Records with their run. Raises ValueError for files that are no such records."""
    try:
        records = [Record(**one) for one in json.loads(path.read_text())]
        about = json.loads(beside(path).read_text())
        run = Run(**{**about, "peers": {name: Peer(**one) for name, one in about["peers"].items()}})
    except FileNotFoundError as error:
        msg = f"{error.filename} is not there; make it with --json {path}"
        raise ValueError(msg) from error
    except (TypeError, AttributeError, KeyError, json.JSONDecodeError) as error:
        msg = f"{path} and {beside(path).name} do not hold records of this tool ({error}); remove them and run it again"
        raise ValueError(msg) from error
    return records, run


def both(records: Iterable[Record], run: Run) -> list[tuple[Record, Peer]]:
    """The networks that were made small here and by torch-pruning, right or wrong."""
    pairs = ((record, run.peers.get(record.network)) for record in records)
    made = ((record, other) for record, other in pairs if other is not None and other.equal is not None)
    return [(record, other) for record, other in made if record.made]


def slower(records: Iterable[Record], run: Run) -> float | None:
    """Seconds of torch-pruning over ours, of the networks that both do; None where there are none."""
    pairs = both(records, run)
    ours = sum(record.seconds or 0.0 for record, _ in pairs)
    return sum(other.seconds or 0.0 for _, other in pairs) / ours if ours else None


HEADER = ("network", "traced", "coupled", "scatter", "difference", "prunable", "MACs", "params", "seconds")
PEER = ("torch-pruning", "its seconds")
WIDTHS = (34, 7, 8, 8, 11, 9, 6, 7, 8)
PEER_WIDTHS = (20, 12)
WORDS: Mapping[bool | None, str] = {True: "yes", False: "NO", None: "-"}


def header(*, with_peer: bool) -> list[str]:
    """The names of `cells`."""
    return [*HEADER, *(PEER if with_peer else ()), "reason"]


def cells(record: Record, other: Peer | None, *, with_peer: bool) -> list[str]:
    """A record for people, the reason last."""
    found = [record.network, WORDS[record.traced], WORDS[record.exact_coupled], WORDS[record.exact_scatter]]
    found += [_shown(record.max_relative_difference, ".0e"), _shown(record.prunable_share, ".0%")]
    found += [_shown(record.macs_ratio, ".3f"), _shown(record.params_ratio, ".3f"), _shown(record.seconds, ".2f")]
    return [*found, *(_peer_cells(other) if with_peer else []), record.reason or ""]


def _shown(value: float | None, style: str) -> str:
    return "-" if value is None else f"{value:{style}}"


def _peer_cells(other: Peer | None) -> list[str]:
    if other is None:
        return ["-", "-"]
    unequal = f"not equal ({_shown(other.max_relative_difference, '.0e')})"
    return [{True: "equal", False: unequal, None: "fails"}[other.equal], _shown(other.seconds, ".2f")]


def line(found: Sequence[str]) -> str:
    """Cells in columns."""
    widths = (*WIDTHS, *PEER_WIDTHS[: len(found) - len(WIDTHS) - 1], 0)
    return " ".join(f"{cell:<{width}}" for cell, width in zip(found, widths, strict=True)).rstrip()


def summary(records: Sequence[Record], run: Run) -> list[str]:
    """What the table comes to, in sentences."""
    traced, exact = sum(record.traced for record in records), sum(record.made and not record.wrong for record in records)
    wrong = sum(record.wrong for record in records)
    found = [f"{traced} of {len(records)} networks traced, {exact} exact, {wrong} not equal."]
    peers = [run.peers[record.network] for record in records if record.network in run.peers]
    if peers:
        equal, unequal = (sum(other.equal is word for other in peers) for word in (True, False))
        failed = len(peers) - equal - unequal
        found.append(f"torch-pruning on {len(peers)} of them: {equal} equal, {unequal} not equal, {failed} failed.")
    ratio = slower(records, run)
    if ratio is not None:
        found.append(f"On the {len(both(records, run))} that both make small, torch-pruning takes {ratio:.1f} times as long.")
    return found
