"""Make the page of DVC's plots whole: with the code that draws them inside, it shows from any folder and without a network.

Reads the template of the repository, whose {scripts} DVC otherwise fills with addresses in the web; writes one that is as
good and keeps nothing outside.
"""

import argparse
import sys
from pathlib import Path

from lib.atomic import write_text

PLACE = "{scripts}"


def main() -> None:
    """One template."""
    import vl_convert

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", type=Path, required=True, metavar="FILE", help="the template of the repository")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the whole one to write")
    given = parser.parse_args()
    template = given.template.read_text()
    if PLACE not in template:
        msg = f"{given.template} has no {PLACE}, where the scripts go; write it into the head of the page"
        raise ValueError(msg)
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets a default
    write_text(given.out, template.replace(PLACE, f"<script>{bundle}</script>"))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
