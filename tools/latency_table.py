"""Measure the table of layer times for `prune.layers.allocation: latency`: once a machine and network, committed as data.

NETWORK is one of this project's (resnet56), of section `networks` of the parameter file, torchvision:mobilenet_v2,
timm:efficientnet_b0, or your own my_module:make. Let the machine do nothing else meanwhile. An interrupted run goes on.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, above_zero, read_params, run
from stages.command.kinds import BARE


def main(
    network: Annotated[str, "its name, or a builder's", BARE],
    out: Annotated[Path, "the table to write, e.g. suites/latency/resnet56-1.json"],
    size: Annotated[int, "height and width of the images, pixels"] = 32,
    classes: Annotated[int, "of the images"] = 10,
    channels: Annotated[int, "of the images"] = 3,
    batch: Annotated[int, "images at once"] = 1,
    threads: Annotated[int, "of the runtime"] = 1,
    repeats: Annotated[int, "calls at each point, of which the median counts"] = 20,
    params: Params = PARAMS,
) -> None:
    """One network."""
    from lib.images.checksum import sha256_of
    from lib.networks.builders import allow
    from lib.params.named import Named, named
    from lib.progress import steps
    from lib.steps.latency_table import Wanted, measure_table, told

    above_zero(size=size, classes=classes, channels=channels, batch=batch, threads=threads, repeats=repeats)
    document = read_params(params)
    own = document.get("networks")
    if isinstance(own, Mapping) and network in own:
        chosen = named(document, network)
    else:
        allow([network])  # the user named it
        chosen = Named(network, {}, None)
    wanted = Wanted(network, chosen, (channels, size, size), classes, batch, threads, repeats)
    table = measure_table(wanted, out, steps(f"layers of {network}"))
    sys.stdout.write(told(table, sha256_of(out), out))


if __name__ == "__main__":
    run(main)
