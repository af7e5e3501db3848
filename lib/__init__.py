"""The shared library of the benchmark.

Data flows one way: datasets -> batches -> training (with a pruning method and distillation terms) -> compaction -> cost,
latency -> tables, plots. Everything passes through `pruning.masks`: which filters of which convolution stay.
Imports go down only; no module here opens params.yaml, parses arguments, prints or spells a path.
"""
