"""The command line of every stage and tool, in one way: see `run`."""

from stages.command.options import PARAMS, Compaction, Data, Guide, KeepRatio, Params, ResumeDir, Seed
from stages.command.parent import die_with_parent
from stages.command.running import run

__all__ = ["PARAMS", "Compaction", "Data", "Guide", "KeepRatio", "Params", "ResumeDir", "Seed", "die_with_parent", "run"]
