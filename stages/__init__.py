"""One short script a stage; each runs by hand as `python -m stages.<name> --help`. Under DVC a stage ends with DVC."""

import os

from lib.graph.orphans import die_with_parent

if "DVC_STAGE" in os.environ:  # before the seconds that a stage's own imports take
    die_with_parent()
