"""The kept filters of a compact network, for people to read."""

import json

from lib.networks import outline
from lib.networks.network import Network


def plan_text(network: Network) -> str:
    """What a compact network keeps as readable JSON, a layer a line: indices of filters of the dense network.

    dense: how many filters each of these layers has there.
    """
    architecture = network.architecture
    widths = {layer.name: layer.width for layer in outline(architecture.dense).layers}
    kept = dict(architecture.kept or ())
    lines = [f'    "{name}": {json.dumps(indices)}' for name, indices in kept.items()]
    head = f'  "network": "{architecture.name}",\n  "num_classes": {architecture.num_classes},\n'
    head += f'  "compaction": "{architecture.mode}",\n'
    head += f'  "dense": {json.dumps({name: widths[name] for name in kept})},\n'
    joined = ",\n".join(lines)
    return f'{{\n{head}  "filters": {{\n{joined}\n  }}\n}}\n'
