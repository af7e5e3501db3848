"""What code that is not ours, a builder or a forward pass, raises where it cannot do what it is asked for."""

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
