"""The main table in README.md: the networks of one suite side by side, what differs among them, and how fast they are."""

from pathlib import Path

from docs.generator import markdown, speed

SUITE = "cifar10-resnet20"
BEGIN, END = "<!-- table: written by `python -m tools.docs` -->", "<!-- /table -->"
COLUMNS = ("Method", "Top-1 %", "95 %", "Rank", "Δ dense", "Params", "FLOPs (MACs)", "Encoded", "Top-1 % encoded")
FACTS = (
    "- Teacher: ",
    "- Against ",
    "- In brackets behind ",
)  # how the lines below the tables begin that say how it was run and what came out


def main(root: Path) -> str:
    """The table of SUITE, then what stands below it."""
    folder = root / "metrics" / SUITE
    facts = [line for line in (folder / "table.md").read_text().splitlines() if line.startswith(FACTS)]
    return "\n\n".join([table(folder), *(["\n".join(facts)] if facts else [])])


def table(folder: Path) -> str:
    """Some columns of a suite's table, then speed-ups."""
    header, *body = markdown.rows((folder / "table.md").read_text())
    method, ratio = header.index("Method"), header.index("Keep ratio")
    places = [header.index(name) for name in COLUMNS if name in header]
    heads, faster = speed.columns(folder)
    return markdown.table(
        [*(header[place] for place in places), *heads],
        [[*(row[place] for place in places), *faster.get((row[method], row[ratio]), [""] * len(heads))] for row in body],
    )


def filled(text: str, content: str) -> str:
    """README.md with its table in place. Raises ValueError where the marks are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        msg = f"README.md has no place for the table; write the lines {BEGIN} and {END} where it belongs"
        raise ValueError(msg)
    return f"{before}{begin}\n{content}\n{end}{after}"
