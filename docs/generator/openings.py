"""How the generated pages begin: the words that no other file has."""

METHODS = """\
# Pruning methods

One file each in `lib/pruning/methods/`; this page is made of what the files say of themselves. A method runs when it stands in
`benchmark.methods`. Which layers are pruned and how far is the same for all methods of a suite:
[`prune.layers`](parameters.md#prune). To add one: [extending/method.md](extending/method.md)."""
TERMS = """\
# Distillation terms

One file each in `lib/distillation/terms/`; this page is made of what the files say of themselves. A term is used through a
distiller, a weighted sum of terms with a name of its own ([`distill.distillers`](parameters.md#distill)), or as a `guide` of a
pruning method. To add one: [extending/term.md](extending/term.md).

In the formulas, B is the size of the mini-batch, and F are features (B, C, H, W). The attention map a(F) is the mean over
channels of F squared, as a unit vector. M(x) is the matrix of inner products of the images of a mini-batch, each row of
unit length."""
PARAMETERS = """\
# Parameters

Every setting stands in `params.yaml`; the code has no defaults. A key that is missing, unknown, of another type or out of its
range is refused by `make check`, which tells all problems at once. YAML is read as DVC reads it (YAML 1.2).

*Default* is what `suites/digits.yaml` says, with which the project ships. `*` in a key stands for a name that you choose.
The settings of each method are on the page [methods](methods.md), those of each distillation term on [terms](terms.md)."""
TRAININGS = """\
## Trainings

Four sections say how something is trained, and have the same keys: `teacher` (the network to prune, and the teachers),
`prune.training`, `distill.training` and `encode.training` (the values that weights share; null for no such training)."""
KINDS = """\
## Sections of a kind

Some settings are a section whose key `kind` says which other keys it has.

In `batches`, `last` says what becomes of the images that are left over at the end of an epoch: a smaller mini-batch (`keep`),
nothing (`drop`), or a mini-batch of their own unless it is a single image, which joins the mini-batch before it (`merge`). In
`schedule`, the learning rate begins at `warmup_factor` times its value and rises to it in `warmup_epochs`."""
RESULTS = """\
# Results

One section a suite that was run here. Each number of a suite with a lock can be traced: the lock lists the hashes of the code,
parameters, data and networks behind it. [How to read a table](../README.md#how-to-read-the-table)."""
LOCK = "`suites/{suite}.lock`, or `dvc.lock` while the suite is active"
NO_LOCK = "none: the suite was run before there were locks, so the hashes of its code and data were not kept"
