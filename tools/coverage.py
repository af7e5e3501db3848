"""Try networks: is each traced, how much of it can be pruned, and is what is left of it the same function?

Without a name: all of torchvision's convolutional classifiers and thirty named ones of timm, which takes hours. Every network
runs in a process of its own, on random weights and uneven random masks, in float64. The table is printed line by line; --json
keeps the records, from network to network. The exit status is 1 if a network was made small and is not equal. timm and
torch-pruning are extras: pip install --group networks --group peer.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from stages.command import above_zero, run
from stages.command.kinds import BARE

PAGE = Path("docs/networks.md")


def main(
    networks: Annotated[tuple[str, ...], "e.g. resnet20 torchvision:mobilenet_v2 timm:dla34 my_module:make", BARE],
    keep_ratio: Annotated[float, "share of the filters that stays"] = 0.5,
    mode: Annotated[Literal["both", "coupled", "scatter"], "of compaction"] = "both",
    size: Annotated[int | None, "of the images, pixels; 64, or more where a network needs it, if left out"] = None,
    peer: Annotated[bool, "try torch-pruning on the same networks, and take its time"] = False,
    json: Annotated[Path | None, "the file of records to write; settings and the peer's results go into one beside it"] = None,
    resume: Annotated[bool, "do not run again what --json has already"] = False,
    docs: Annotated[bool, f"write {PAGE} from --json, and run nothing"] = False,
) -> None:
    """Many networks."""
    from lib.progress import networks as shown
    from lib.steps import coverage
    from lib.steps.probe import Record, Wanted, modes_of

    if json is None and (docs or resume):
        msg = "--docs and --resume need the file of records: --json FILE"
        raise ValueError(msg)
    if docs and json is not None:
        _write_page(json)
        return
    if not 0.0 < keep_ratio <= 1.0:
        msg = f"--keep-ratio must be above 0 and at most 1, got {keep_ratio}"
        raise ValueError(msg)
    above_zero(size=size)
    if json is not None and json.exists() and not resume:
        msg = f"{json} exists; go on with it by --resume, or remove it"
        raise ValueError(msg)
    before: list[Record] = []
    about = coverage.Run(keep_ratio, mode, coverage.machine(), coverage.here())
    if resume and json is not None and json.exists():
        before, earlier = coverage.loaded(json)
        if replace(earlier, sizes={}, peers={}) != about:
            msg = f"{json} was made with other settings or versions, or elsewhere; remove it, or name another file"
            raise ValueError(msg)
        about = earlier
    names = list(dict.fromkeys(networks or coverage.defaults()))
    save = coverage.saved(json) if json is not None else lambda _records, _run: None
    sys.stdout.write(coverage.line(coverage.header(with_peer=peer)) + "\n")
    wanted, records = Wanted(keep_ratio, modes_of(mode), size), []
    found = coverage.cover(names, wanted, about, with_peer=peer, before=before, save=save)
    for name in shown(names, "coverage"):
        records.append(next(found))
        sys.stdout.write(coverage.line(coverage.cells(records[-1], about.peers.get(name), with_peer=peer)) + "\n")
        sys.stdout.flush()
    sys.stdout.write("\n".join(["", *coverage.summary(records, about), ""]))
    if wrong := [record.network for record in records if record.wrong]:
        msg = f"made small, but not equal: {', '.join(wrong)}"
        raise ValueError(msg)


def _write_page(source: Path) -> None:
    from docs.generator.networks import page
    from lib.atomic import write_text
    from lib.steps.coverage import loaded

    write_text(PAGE, page(*loaded(source)))


if __name__ == "__main__":
    run(main)
