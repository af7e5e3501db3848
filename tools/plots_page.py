"""Make the page of DVC's plots whole: with the code that draws them inside, it shows from any folder and without a network.

Reads the template of the repository, whose {scripts} DVC otherwise fills with addresses in the web; writes one that is as
good and keeps nothing outside.
"""

from pathlib import Path
from typing import Annotated

from stages.command import run

PLACE = "{scripts}"


def main(
    template: Annotated[Path, "the template of the repository"],
    out: Annotated[Path, "the whole page to write"],
) -> None:
    """One template."""
    import vl_convert

    from lib.atomic import write_text

    text = template.read_text()
    if PLACE not in text:
        msg = f"{template} has no {PLACE}, where the scripts go; write it into the head of the page"
        raise ValueError(msg)
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets a default
    write_text(out, text.replace(PLACE, f"<script>{bundle}</script>"))


if __name__ == "__main__":
    run(main)
