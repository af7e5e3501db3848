"""The kept filters of a compact network, for people to read."""

import json

from lib.networks.network import Network


def plan_text(network: Network) -> str:
    """What a compact network keeps as readable JSON, a layer a line: indices of filters of the dense network."""
    architecture = network.architecture
    lines = [f'    "{name}": {json.dumps(kept)}' for name, kept in architecture.kept or ()]
    head = f'  "network": "{architecture.name}",\n  "num_classes": {architecture.num_classes},\n'
    head += f'  "compaction": "{architecture.mode}",\n'
    joined = ",\n".join(lines)
    return f'{{\n{head}  "filters": {{\n{joined}\n  }}\n}}\n'
