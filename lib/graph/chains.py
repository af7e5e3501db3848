"""Which nodes of a graph must run, and which of them belong together."""

from collections.abc import Iterable

import networkx as nx

Chain = tuple[str, ...]


def affected(graph: "nx.DiGraph[str]", stale: Iterable[str]) -> set[str]:
    """The stale nodes and all that depend on them. An edge leads from a node to one that needs it."""
    found = set(stale) & set(graph)
    return found.union(*(nx.descendants(graph, node) for node in found))


def chains(graph: "nx.DiGraph[str]", wanted: set[str]) -> dict[Chain, frozenset[Chain]]:
    """The wanted nodes as chains to run in one go, each with the chains it needs first; those come before it.

    A node joins the chain before it when it needs nothing else and nothing else needs that chain's end. What is needed on
    the way to another need goes without saying: a measurement of A and of B, which is made from A, joins B.
    """
    direct = nx.transitive_reduction(graph.subgraph(wanted))
    joined = nx.DiGraph([(a, b) for a, b in direct.edges if direct.out_degree(a) == 1 == direct.in_degree(b)])
    joined.add_nodes_from(direct)
    chain_of: dict[str, Chain] = {}
    for together in nx.weakly_connected_components(joined):
        chain = tuple(nx.topological_sort(joined.subgraph(together)))
        chain_of |= dict.fromkeys(chain, chain)
    position = {node: index for index, node in enumerate(graph)}
    order = nx.lexicographical_topological_sort(direct, key=position.__getitem__)
    starts = [node for node in order if chain_of[node][0] == node]
    return {chain_of[node]: frozenset(chain_of[need] for need in direct.predecessors(node)) for node in starts}
