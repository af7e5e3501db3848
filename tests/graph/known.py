"""What is essential in each file of the project as it is, computed once for all runs of stage `code` (see stage_code.py)."""

from pathlib import Path

from lib.graph.sources import essential

ROOT = Path(__file__).parents[2]
ESSENTIAL = {path.read_bytes(): essential(path) for name in ("lib", "stages") for path in (ROOT / name).rglob("*.py")}
