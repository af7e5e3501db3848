import networkx as nx

from lib.graph.chains import affected, chains

NEEDS: dict[str, list[str]] = {
    "data": [],
    "teacher": ["data"],
    "prune": ["data", "teacher"],
    "distill-a": ["data", "teacher", "prune"],
    "compact-a": ["data", "distill-a"],
    "distill-b": ["data", "teacher", "prune"],
    "compact-b": ["data", "distill-b"],
}


def graph(needs: dict[str, list[str]]) -> nx.DiGraph:
    """An edge leads from a node to one that needs it."""
    made = nx.DiGraph()
    made.add_nodes_from(needs)
    made.add_edges_from((before, node) for node, all_before in needs.items() for before in all_before)
    return made


def test_affected_are_the_stale_and_all_behind_them() -> None:
    assert affected(graph(NEEDS), ["distill-a"]) == {"distill-a", "compact-a"}
    assert affected(graph(NEEDS), ["prune"]) == {"prune", "distill-a", "compact-a", "distill-b", "compact-b"}
    assert affected(graph(NEEDS), ["not there"]) == set()


def test_what_only_continues_one_other_joins_its_chain() -> None:
    trunk, a, b = ("data", "teacher", "prune"), ("distill-a", "compact-a"), ("distill-b", "compact-b")
    assert chains(graph(NEEDS), set(NEEDS)) == {trunk: frozenset(), a: {trunk}, b: {trunk}}


def test_what_is_needed_on_the_way_breaks_no_chain() -> None:
    needs = {"data": [], "compact": ["data"], "encode": ["data", "compact"], "measure": ["data", "compact", "encode"]}
    found = chains(graph(needs | {"other": ["data"]}), {*needs, "other"})
    assert found == {("data",): frozenset(), ("compact", "encode", "measure"): {("data",)}, ("other",): {("data",)}}


def test_a_chain_ends_where_two_come_together() -> None:
    found = chains(graph({"a": [], "b": [], "both": ["a", "b"], "end": ["both"]}), {"a", "b", "both", "end"})
    assert found == {("a",): frozenset(), ("b",): frozenset(), ("both", "end"): {("a",), ("b",)}}


def test_chains_need_only_what_is_wanted() -> None:
    assert chains(graph(NEEDS), {"distill-a", "compact-a"}) == {("distill-a", "compact-a"): frozenset()}


def test_nothing_wanted_makes_no_chain() -> None:
    assert chains(graph(NEEDS), set()) == {}


def test_chains_stand_in_the_order_of_the_graph() -> None:
    needs: dict[str, list[str]] = {name: [] for name in "dbca"}
    assert list(chains(graph(needs), set(needs))) == [("d",), ("b",), ("c",), ("a",)]
