"""The command line of every stage and tool, in one way: see `run`."""

from stages.command.options import PARAMS, Compaction, Data, Guide, KeepRatio, Log, Params, ResumeDir, Seed
from stages.command.reading import above_zero, read_params
from stages.command.running import run

__all__ = [
    "PARAMS",
    "Compaction",
    "Data",
    "Guide",
    "KeepRatio",
    "Log",
    "Params",
    "ResumeDir",
    "Seed",
    "above_zero",
    "read_params",
    "run",
]
