"""The page of networks that were tried, from the records of tool `coverage`."""

from collections.abc import Sequence

from docs.generator.markdown import prose, table
from lib.steps.coverage import Run, cells, header, summary
from lib.steps.peer import Peer
from lib.steps.probe import Record

NOTE = "<!-- Written by `python -m tools.coverage --json FILE --docs`. -->"
OPENING = """# Networks that were tried

Channels are found by tracing a network, so most convolutional networks can be pruned, made small and proved equal as they
are. This is what `python -m tools.coverage{peer}` found. A network that is not here can be tried by its name:
`python -m tools.coverage timm:NAME`. [own-network.md](own-network.md) tells how to bring your own."""
COLUMNS = """- **traced**: its channels were found. **reason** says why not, and why layers stay whole.
- **coupled**, **scatter**: in this mode of compaction the small network is equal to the masked one. **difference**: the
  largest of the logits in float64, relative to max(1, abs(logit)), of both modes; less than 1e-9 counts as equal. Weights,
  affine values, batch-norm statistics and masks are random; the masks are uneven, and one layer keeps a single filter. A
  batch norm's shift or a bias that is not zero in one masked channel must be noticed, too.
- **prunable**: the share of filters that may go, of all but those of the output.
- **MACs**, **params**: what an even keep ratio of {keep_ratio} leaves of them{mode}.
- **seconds**: to trace the network and to make it small once, on the CPU ({machine})."""
THEIRS = """- **torch-pruning**: whether its dependency graph makes the network small with the same keep ratio, equal to the
  same network with these very channels at zero. Its seconds are without that check. It was told to leave the output alone.
  It takes channels away that a layer norm averages over, which changes the function: such networks are not equal."""


def page(records: Sequence[Record], run: Run) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    mode = "" if run.mode == "scatter" else " in coupled mode"
    columns = COLUMNS.format(keep_ratio=run.keep_ratio, mode=mode, machine=run.machine)
    blocks = [NOTE, OPENING.format(peer=" --peer" if run.peers else ""), "\n".join(summary(records, run))]
    blocks += [columns + (f"\n{THEIRS}" if run.peers else ""), f"Made with {versions}.{_sizes(run)}"]
    for library, own in _parts(records).items():
        rows = [_row(library, record, run) for record in own]
        blocks += [f"## {library}", table(header(with_peer=bool(run.peers)), rows)]
    if failures := [_failure(other) for other in run.peers.values() if other.equal is None]:
        blocks += ["## What torch-pruning fails with", "\n".join(failures)]
    return "\n\n".join(blocks) + "\n"


def _row(library: str, record: Record, run: Run) -> list[str]:
    name, *middle, reason = cells(record, run.peers.get(record.network), with_peer=bool(run.peers))
    return [f"`{name.removeprefix(library + ':')}`", *middle, prose(reason)]


def _failure(other: Peer) -> str:
    return f"- `{other.network}`: {prose(other.reason or '')}"


def _parts(records: Sequence[Record]) -> dict[str, list[Record]]:
    """By library, in order."""
    parts: dict[str, list[Record]] = {}
    for record in records:
        library, _, inside = record.network.rpartition(":")
        parts.setdefault(library if inside and library else "this project", []).append(record)
    return parts


def _sizes(run: Run) -> str:
    """Of images, in words."""
    usual = min(run.sizes.values(), default=0)
    others = [f"`{name}` ({size})" for name, size in run.sizes.items() if size != usual]
    return f" Images of {usual}x{usual} pixels" + (f", larger ones for {', '.join(others)}." if others else ".")
