"""The networks of a suite for everybody: packed files, each with a card that says what it is; and a check of the cards."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from lib import json_file
from lib.atomic import write_bytes, write_text
from lib.formats.fitting import batches_for
from lib.formats.packed import SUFFIX, unpacked
from lib.images.dataset import Dataset, load
from lib.images.imagefolder import Progress
from lib.images.settings import DataSettings
from lib.params.bounds import Sha256
from lib.params.section import section, validated
from lib.params.suite import Cell, Suite
from lib.steps.download import make
from lib.tables.latencies import Line
from lib.tables.writing import markdown, scaled
from lib.training.device import Compute, prepare
from lib.training.evaluation import evaluate

MOVED = 5.0 / 10_000 * 100  # percent points: what rounding of another processor may move, five images of 10,000
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Timings = Mapping[tuple[str, float], Line]


@section
class Card:
    """What a packed network is.

    epochs: without the fine-tuning of the packed form. top1, validation_top1 in percent; top1 is that of the packed network on
    the test split. macs_ratio: of the dense network's. latency: one line, with the machine. commit, command: of this
    repository, which made it.
    """

    suite: Text
    dataset: Text
    network: Text
    method: Text
    keep_ratio: float
    distiller: Text
    compaction: Text
    seed: Count
    epochs: Count
    top1: float
    validation_top1: float
    params: Count
    macs: Count
    macs_ratio: float
    file_bytes: Count
    sha256: Sha256
    latency: str
    commit: Text
    command: Text


class Origin(NamedTuple):
    """Where networks come from: the commit whose code made them, and the command."""

    commit: str
    command: str


class Checked(NamedTuple):
    """A network scored again. problem: what differs; empty when nothing does."""

    name: str
    top1: float
    problem: str


def gather(suite: Suite, models: Path, cells: Path, timings: Timings, origin: Origin, out: Path) -> list[Card]:
    """Copy the packed network of each row's best seed by validation into folder `out`, with its card; and a README.

    models, cells: the folders of the suite's networks and of its cells' numbers. timings: by method and keep ratio.
    A row has the best of the seeds that have a cell; one without any is left out. A network that another machine made, which
    is in `out` already and not in `models`, stays with its card, which takes the time that the table now has. Networks that
    are not the best of their row any more are removed. Raises ValueError where no row has a cell, and for a network that is
    nowhere or not that of its cell.
    """
    cards = {}
    for best, numbers in _best(suite, cells):
        line = _latency(timings.get((best.method, best.keep_ratio)), best, numbers, suite.benchmark.compaction)
        described = partial(_card, suite, best, numbers, line, origin)
        cards[best.key] = _kept(models / "encoded", out, best.key, numbers, line, described)
    for path in (*out.glob(f"*{SUFFIX}"), *out.glob("*.json")):
        if path.stem not in cards:
            path.unlink()
    write_text(out / "README.md", page(suite, list(cards.values())))
    return list(cards.values())


def _latency(line: Line | None, best: Cell, numbers: Mapping[str, Any], compaction: str) -> str:
    """The time of a network, where it or one of the same size was timed: other seeds of some methods have other widths. What a
    scatter network ships depends on which filters were kept, so that each is timed for itself.
    """
    if line is None or line.macs != numbers["macs"] or (compaction == "scatter" and line.seed != best.seed):
        return ""
    return line.text if line.seed == best.seed else f"{line.text}; of seed {line.seed}"


def keep_dense(suite: Suite, models: Path, out: Path) -> list[Path]:
    """Copy the trained networks of each seed that are here: what all cells of the seed prune, and learn from."""
    axes = suite.benchmark
    names = [f"trained/{seed}/{network}.safetensors" for seed in axes.seeds for network in axes.trained]
    there = [name for name in names if (models / name).is_file()]
    for name in there:
        write_bytes(out / name, (models / name).read_bytes())
    return [out / name for name in there]


def _kept(
    packed: Path, out: Path, key: str, numbers: Mapping[str, Any], latency: str, described: Callable[[bytes], Card]
) -> Card:
    """One network with its card, from where it was made or as it is kept already."""
    source, kept, beside = packed / f"{key}{SUFFIX}", out / f"{key}{SUFFIX}", out / f"{key}.json"
    if source.is_file() and source.with_suffix(".json").is_file():
        content = source.read_bytes()
        if made := _newer(json_file.load(source.with_suffix(".json")), len(content), numbers):
            msg = f"{source} is not the network of the table: {made}; bring the table up to date with: dvc repro"
            raise ValueError(msg)
        card = described(content)
        write_bytes(kept, content)
        _write(card, beside)
        return card
    if not kept.is_file() or not beside.is_file():
        msg = f"{source} is missing; make it with: dvc repro"
        raise ValueError(msg)
    card = _read(beside)
    if problem := _differs(card, numbers) or _altered(card, kept):
        msg = f"{source} is missing, and {kept} is another network: {problem}; make it with: dvc repro"
        raise ValueError(msg)
    if latency and latency != card.latency:  # it was timed since, or one of its size was
        card = replace(card, latency=latency)
        _write(card, beside)
    return card


def _write(card: Card, path: Path) -> None:
    write_text(path, json.dumps(asdict(card), indent=2, sort_keys=True) + "\n")


def _newer(packed: Mapping[str, Any], size: int, numbers: Mapping[str, Any]) -> str:
    """How a packed network is another one than a table tells of; empty where it is not."""
    there = {**packed, "encoded_bytes": size}
    differ = [name for name in ("encoded_top1", "encoded_bytes") if there.get(name) != numbers.get(name)]
    return "; ".join(f"{name} is {numbers.get(name)} in the table, {there.get(name)} here" for name in differ)


def page(suite: Suite, cards: Sequence[Card]) -> str:
    """The cards of a suite as a table."""
    head = ["Method", "Keep ratio", "Distiller", "Seed", "Top-1 %", "MACs", "File", "Latency", "sha256"]
    rows = [
        [
            *(card.method, str(card.keep_ratio), card.distiller, str(card.seed), f"{card.top1:.2f}"),
            *(f"{scaled(card.macs)} ({card.macs_ratio:.2f})", f"{scaled(card.file_bytes)}B", card.latency, card.sha256[:12]),
        ]
        for card in cards
    ]
    words = f"""# {suite.name}: networks to take away

The packed network of each row of [the table](../../../metrics/{suite.name}/table.md), of the seed that is best on validation
among those that were run. Compare methods and distillers by that table: rows here may be of different seeds.
Top-1 is that of the packed network on the test split of {suite.dataset}. The card beside each file has the rest.

Score them again: `python -m tools.verify --suite {suite.name}`. Take one out:
`python -m stages.encode --import models/zoo/{suite.name}/FILE.bin --out small.safetensors`."""
    return f"{words}\n\n{markdown(head, rows)}\n"


def cards(folder: Path) -> dict[str, Card]:
    """The cards in a folder, by name. Raises ValueError for one that is none, and where there is no card or no file to one."""
    found = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
    if not found:
        msg = f"{folder} holds no network; make it with: python -m tools.zoo"
        raise ValueError(msg)
    lacking = [name for name in found if not (folder / f"{name}{SUFFIX}").is_file()]
    if lacking:
        msg = f"{folder} lacks the networks of the cards {', '.join(lacking)}; take them from the repository again"
        raise ValueError(msg)
    return found


def folder_name(data: Mapping[str, Any]) -> str:
    """Where to keep the data set of a section `data`, so that one of other settings is kept apart."""
    text = json.dumps(data, sort_keys=True, default=str)
    return f"{data['name']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def obtained(settings: DataSettings, folder: Path, cache: Path, progress: Progress) -> Dataset:
    """The data set in a folder, which is made where it is not there yet. Raises ValueError with the cure."""
    if not folder.exists():
        make(settings, cache, progress, folder)
    return load(folder)


def verify(
    folder: Path, cells: Path, dataset: Dataset, compute: Compute, names: Iterable[str], known: Mapping[str, Card]
) -> Iterator[Checked]:
    """Score each network of a folder on the test split again, and compare: file with card, score with card, card with table.

    cells: the folder of the numbers that the table was made of. names: of known cards, in the order to go.
    """
    device = prepare(compute)
    for name in names:
        path, card = folder / f"{name}{SUFFIX}", known[name]
        if problem := _altered(card, path):
            yield Checked(name, float("nan"), problem)
            continue
        try:
            checkpoint = unpacked(path)
        except ValueError as error:
            yield Checked(name, float("nan"), str(error))
            continue
        top1 = evaluate(checkpoint.network.to(device), batches_for(path, checkpoint, dataset, "test", device)).top1
        yield Checked(name, top1, _problem(card, top1, cells / f"{name}.json"))


def _problem(card: Card, top1: float, cell: Path) -> str:
    if abs(top1 - card.top1) > MOVED:
        return f"it scores {top1:.2f} %, its card says {card.top1:.2f} %"
    if not cell.is_file():
        return f"the table has no such cell ({cell})"
    return _differs(card, json_file.load(cell))


def _read(path: Path) -> Card:
    return validated(json_file.load(path), Card, path.name)


def _altered(card: Card, path: Path) -> str:
    """How a file is not the one of its card; empty where it is."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return "" if digest == card.sha256 else f"the file has sha256 {digest[:12]}…, its card says {card.sha256[:12]}…"


def _differs(card: Card, numbers: Mapping[str, Any]) -> str:
    """How a card says something else than the table's numbers; empty where it does not."""
    wrong = [
        f"{name} is {numbers.get(other)} in the table, {value} on the card"
        for name, other, value in (
            ("top1", "encoded_top1", card.top1),
            ("validation_top1", "validation_top1", card.validation_top1),
            ("macs", "macs", card.macs),
        )
        if numbers.get(other) != value
    ]
    return "; ".join(wrong)


def _best(suite: Suite, cells: Path) -> Iterator[tuple[Cell, Mapping[str, Any]]]:
    """Of each row the cell of highest validation accuracy, the first of equal ones."""
    paths = {cell: cells / f"{cell.key}.json" for cell in suite.cells}
    numbers = {cell: json_file.load(path) for cell, path in paths.items() if path.is_file()}
    if not numbers:
        msg = f"{cells} holds no cell of the suite {suite.name!r}; make them with: dvc repro"
        raise ValueError(msg)
    rows: dict[tuple[str, float, str], list[Cell]] = {}
    for cell in numbers:
        rows.setdefault(cell[:3], []).append(cell)
    for own in rows.values():
        best = max(own, key=lambda cell: numbers[cell]["validation_top1"])
        yield best, numbers[best]


def _card(suite: Suite, cell: Cell, numbers: Mapping[str, Any], latency: str, origin: Origin, content: bytes) -> Card:
    axes = suite.benchmark
    return Card(
        suite=suite.name,
        dataset=suite.dataset,
        network=axes.network,
        method=cell.method,
        keep_ratio=cell.keep_ratio,
        distiller=cell.distiller,
        compaction=axes.compaction,
        seed=cell.seed,
        epochs=int(numbers["epochs"]),
        top1=numbers["encoded_top1"],
        validation_top1=numbers["validation_top1"],
        params=numbers["params"],
        macs=numbers["macs"],
        macs_ratio=numbers["macs_ratio"],
        file_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        latency=latency,
        commit=origin.commit,
        command=origin.command,
    )
