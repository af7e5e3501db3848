"""The shared library of the benchmark.

Four small tools everybody may use (atomic, plugins, progress, randomness) and one package a room. Data flows one way: images
-> training (with hooks of a pruning method and terms of a distiller) -> masks -> compaction -> formats, cost -> tables, plots;
`steps` holds the body of every stage. Imports go down only (see the contracts in pyproject.toml). No module here opens
params.yaml, parses arguments, or spells a path of the project's results.
"""
