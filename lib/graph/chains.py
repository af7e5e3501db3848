"""Running the nodes of a graph by several workers: what to run, in which chains, and in which order."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

Graph = Mapping[str, frozenset[str]]  # node -> the nodes it needs first
Chain = tuple[str, ...]
BATCHES = 3


def affected(graph: Graph, stale: Iterable[str]) -> set[str]:
    """The stale nodes and all that depend on them."""
    found = set(stale) & graph.keys()
    while more := {node for node, needs in graph.items() if node not in found and needs & found}:
        found |= more
    return found


def chains(graph: Graph, wanted: set[str]) -> dict[Chain, frozenset[str]]:
    """The wanted nodes as chains to run in one go, each with the wanted nodes it needs first.

    A node joins the chain before it when it needs nothing else and nothing else needs that chain's end. What is needed on
    the way to another need goes without saying: a measurement of A and of B, which is made from A, joins B.
    """
    direct = {node: graph[node] & wanted for node in wanted}
    needs = {node: direct[node] - frozenset[str]().union(*(_before(direct, need) for need in direct[node])) for node in wanted}
    users: dict[str, set[str]] = {node: {other for other in wanted if node in needs[other]} for node in wanted}

    def follows(node: str) -> str | None:
        """The node that `node` continues, if it does. What the other needed is not needed twice."""
        for before in needs[node]:
            if users[before] == {node} and needs[node] - {before} <= needs[before]:
                return before
        return None

    following = {before: node for node in wanted if (before := follows(node)) is not None}
    found = {}
    for start in sorted(node for node in wanted if follows(node) is None):
        chain = [start]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        found[tuple(chain)] = frozenset(needs[start])
    return found


def _before(needs: Mapping[str, frozenset[str]], node: str) -> set[str]:
    """All that a node needs, directly or not."""
    found, waiting = set[str](), [node]
    while waiting:
        more = needs[waiting.pop()] - found
        found |= more
        waiting += more
    return found


def batched(todo: Mapping[Chain, frozenset[str]], jobs: int) -> dict[Chain, frozenset[str]]:
    """Many chains that need the same, joined a few at a time: every start of DVC reads the whole graph.

    So few are joined that each worker still gets BATCHES or more of them, which keeps the workers evenly busy.
    """
    alike: dict[frozenset[str], list[Chain]] = {}
    for chain, needs in todo.items():
        alike.setdefault(needs, []).append(chain)
    found = {}
    for needs, found_chains in alike.items():
        size = max(1, len(found_chains) // (jobs * BATCHES))
        for start in range(0, len(found_chains), size):
            found[tuple(node for chain in found_chains[start : start + size] for node in chain)] = needs
    return found


def run_all(todo: Mapping[Chain, frozenset[str]], run: Callable[[Chain], None], jobs: int) -> None:
    """Run every chain once what it needs is done, `jobs` at once.

    The first failure is raised after the chains that are running have ended; nothing new is started.
    """
    waiting, done = dict(todo), set[str]()
    running: dict[Future[None], Chain] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            for chain in [chain for chain, needs in waiting.items() if needs <= done][: jobs - len(running)]:
                running[pool.submit(run, chain)] = chain
                del waiting[chain]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done.update(running.pop(future))
                future.result()
