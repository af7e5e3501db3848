"""What a run of chains tells its user."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib.graph.schedule import Schedule, Sent
from lib.graph.workers import LOG

NOTE = "note: "  # how a line begins that a stage writes for its user
SHOWN = 5  # names of each kind
LONGEST = 2000  # characters of a log


def state(run: Schedule) -> str:
    """What is at work and what failed, for the progress line."""
    return f"{len(run.running)} running, {len(run.failed)} failed"


def spread(run: Schedule, hosts: Mapping[str, str], lost: int) -> str:
    """What is at work where, what waits and what failed, for the progress line. hosts: by the first node of a chain."""
    at_work = Counter(hosts[chain[0]] for chain in run.running if chain[0] in hosts)
    shown = [f"{host} {count}" for host, count in sorted(at_work.items())[:SHOWN]]
    more = ["…"] if len(at_work) > SHOWN else []
    where = f" ({', '.join(shown + more)})" if shown else ""
    again = f", {lost} lost with their machine and begun again" if lost else ""
    return f"{at_work.total()} running{where}, {len(run.failed)} failed{again}"


def notes(sent: Sequence[Sent], folder: Path) -> list[str]:
    """What the stages of a chain that has ended noted in its log, each once; sent: its finished nodes."""
    if not sent:
        return []
    lines = (folder / sent[0][0] / LOG).read_text(errors="replace").splitlines()
    return list(dict.fromkeys(_printable(line) for line in lines if line.startswith(NOTE)))


def failures(run: Schedule, folder: Path) -> str:
    """Which nodes failed and why, which were not run because they need them, and what to do."""
    lines = [f"{len(run.failed)} failed, {len(run.done)} done"]
    for chain, node in list(run.failed.items())[:SHOWN]:
        log = folder / chain[0] / LOG
        written = log.read_text(errors="replace") if log.exists() else ""  # a worker may end before it begins its log
        lines.append(f"{node} ({log}): {_reason(written)}")
    if len(run.failed) > SHOWN:
        lines.append(f"{_some(list(run.failed.values())[SHOWN:])} failed too")
    skipped = [node for chain, failed in run.failed.items() for node in chain[chain.index(failed) + 1 :]]
    if skipped := skipped + [node for chain in run.waiting for node in chain]:
        lines.append(f"not run, since they need what failed: {_some(skipped)}")
    return "\n".join([*lines, "mend the cause and run the same command again; it does only what is left"])


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _reason(log: str) -> str:
    """The last message of a stage in its log, or the log's end where there is none; control characters are left out."""
    message = log[log.rfind("error: ") :] if "error: " in log else log.strip().rpartition("\n")[2] or "it was killed"
    return _printable(message.strip())


def _printable(text: str) -> str:
    return "".join(character for character in text[:LONGEST] if character.isprintable() or character == "\n")
