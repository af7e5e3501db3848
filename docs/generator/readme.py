"""The table in README.md: the smallest networks of the default suite beside the dense one."""

from pathlib import Path

from docs.generator import markdown, speed

BEGIN, END = "<!-- table: written by `python -m tools.docs` -->", "<!-- /table -->"
COLUMNS = ("Method", "Keep ratio", "Top-1 %", "Δ dense", "Params", "FLOPs (MACs)", "Encoded", "Top-1 % encoded")


def table(folder: Path) -> str:
    """Some columns of a suite's table, then speed-ups: the rows of its smallest keep ratio and the dense network's."""
    header, *body = markdown.rows((folder / "table.md").read_text())
    ratio = header.index("Keep ratio")
    sizes = {min(body, key=lambda row: float(row[ratio]))[ratio], max(body, key=lambda row: float(row[ratio]))[ratio]}
    places = [header.index(name) for name in COLUMNS if name in header]
    heads, faster = speed.columns(folder)
    return markdown.table(
        [*(header[place] for place in places), *heads],
        [
            [*(row[place] for place in places), *faster.get((row[header.index("Method")], row[ratio]), [""] * len(heads))]
            for row in body
            if row[ratio] in sizes
        ],
    )


def filled(text: str, content: str) -> str:
    """README.md with its table in place. Raises ValueError where the marks are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        msg = f"README.md has no place for the table; write the lines {BEGIN} and {END} where it belongs"
        raise ValueError(msg)
    return f"{before}{begin}\n{content}\n{end}{after}"
