"""Operations by their names, as functions and as methods of tensors."""

from torch import fx

SUMS = frozenset(("add", "iadd", "add_", "sub", "isub", "sub_"))
PRODUCTS = frozenset(("mul", "imul", "mul_", "multiply"))
QUOTIENTS = frozenset(("truediv", "itruediv", "div", "div_"))
EXTREMES = frozenset(("maximum", "minimum", "max", "min", "fmax", "fmin"))  # of two values
JOINS = SUMS | PRODUCTS | EXTREMES

LIKE = frozenset(("view_as", "reshape_as", "expand_as"))  # take their shape from a second value
EXPANSIONS = frozenset(("expand", "expand_as", "broadcast_to"))
REPEATS = frozenset(("repeat", "tile"))
RESHAPES = LIKE | EXPANSIONS | {"view", "reshape", "unflatten"}  # are told the shape that they make


def called(node: fx.Node) -> str:
    """The name of an operation."""
    return str(node.target) if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.target))
