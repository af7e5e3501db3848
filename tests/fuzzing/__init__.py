"""Damaged and hostile inputs, endlessly many from a seed, and what the product does with each.

A kind is a module of this folder with

    NAME: str                                                                 what it is called on the command line
    run(seed: int, cases: int, folder: Path) -> Iterator[tests.fuzzing.judging.Outcome]       one outcome a case, as it goes

which may write into `folder`. `python -m tools.fuzz` finds the kinds by their NAME, counts the words of their outcomes and
fails where an outcome names a failure; `tests.fuzzing.judging` judges what reads files.
"""
