"""Commands that are no stage; each runs by hand as `python -m tools.<name> --help`."""

import sys

from lib.graph.orphans import end_at_interrupt

if sys.argv[0] == "-m":  # Python is still looking for the command's module
    end_at_interrupt()
