"""One short script a stage; each runs by hand as `python -m stages.<name> --help`. Under DVC a stage ends with DVC."""

import os
import sys

from lib.graph.orphans import die_with_parent, end_at_interrupt

if sys.argv[0] == "-m":  # Python is still looking for the stage's module, and its imports take seconds
    end_at_interrupt()
if "TRAINING_PARENT" in os.environ:  # one of several processes of a training (lib/training/launching.py)
    die_with_parent(int(os.environ.pop("TRAINING_PARENT")))
elif "DVC_STAGE" in os.environ:
    die_with_parent()
