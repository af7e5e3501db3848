"""The channel plan of a compact network, for people to read."""

import json
from dataclasses import asdict

from lib.networks.network import Network


def plan_text(network: Network) -> str:
    """The channel plan of a compact network as readable JSON: kept filters and channels, indices into the dense network."""
    architecture = asdict(network.architecture)
    lines = [f'    "{name}": {json.dumps(kept)}' for name, kept in sorted(architecture["plan"]["filters"].items())]
    spaces = [f'    "{name}": {json.dumps(kept)}' for name, kept in sorted(architecture["plan"]["spaces"].items())]
    head = f'  "network": "{architecture["name"]}",\n  "num_classes": {architecture["num_classes"]},\n'
    joined, joined_spaces = ",\n".join(lines), ",\n".join(spaces)
    return f'{{\n{head}  "filters": {{\n{joined}\n  }},\n  "spaces": {{\n{joined_spaces}\n  }}\n}}\n'
