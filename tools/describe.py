"""Show what is found of a network's channels: its layers, which of them share channels, what may be pruned, and why not.

NETWORK is one of this project's (resnet20), torchvision:mobilenet_v2, timm:efficientnet_b0, or your own my_module:make. No
part of the pipeline: used by hand.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import above_zero, run
from stages.command.kinds import BARE


def main(
    network: Annotated[str, "a builder's name", BARE],
    size: Annotated[int, "height and width of the images, pixels"] = 32,
    classes: Annotated[int, "of the images"] = 10,
    channels: Annotated[int, "of the images"] = 3,
    picture: Annotated[Path | None, "the picture of the channel graph to write (.png)"] = None,
) -> None:
    """One network."""
    from lib.atomic import write_bytes
    from lib.channels.spaces import chart
    from lib.networks import outline
    from lib.networks.architecture import Architecture
    from lib.networks.builders import allow
    from lib.plots.channels import picture as drawn
    from lib.tables.channels import points, text

    above_zero(size=size, classes=classes, channels=channels)
    allow([network])  # the user named it
    outlined = outline(Architecture(network, classes, channels, (size, size)))
    found, graph = outlined.description, chart(outlined.description)
    sys.stdout.write(text(graph))
    share, number = found.prunable_share, len(found.layers)
    sys.stdout.write(f"\n{number} layers may be pruned, {share:.0%} of all filters but those of the output.\n")
    sys.stdout.write(points(outlined.taps))
    if picture is not None:
        write_bytes(picture, drawn(graph, f"The channels of {network}, images of {channels}x{size}x{size}"))


if __name__ == "__main__":
    run(main)
