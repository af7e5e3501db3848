"""How the generated pages begin: the words that no other file has."""

METHODS = """\
# Pruning methods

Each has a file in `lib/pruning/methods/`; this page is made of what the files say of themselves. A method runs when it
stands in `benchmark.methods`. Which layers are pruned and how far is the same for all methods of a suite:
[`prune.layers`](parameters.md#prune). To add one: [extending/method.md](extending/method.md)."""
TERMS = """\
# Distillation terms

Each has a file in `lib/distillation/terms/`; this page is made of what the files say of themselves. A term is used through a
distiller, a weighted sum of terms with a name of its own ([`distill.distillers`](parameters.md#distill)), or as a `guide` of a
pruning method. To add one: [extending/term.md](extending/term.md).

Terms that look at stages or blocks need a module that writes or reads what these end with: `nn.ReLU()` where a network of
your own calls `functional.relu` and hands its result to another function. What cannot be seen is refused before any training.

In the formulas, B is the size of the mini-batch, and F are features (B, C, H, W). The attention map a(F) is the mean over
channels of F squared, as a unit vector. M(x) is the matrix of inner products of the images of a mini-batch, each row of
unit length."""
PARAMETERS = """\
# Parameters

Every setting stands in `params.yaml`; the code has no defaults. A key that is missing, unknown, of another type or out of its
range is refused by `make check`, which tells all problems at once. YAML is read as DVC reads it (YAML 1.2).

*Default* is what `suites/digits.yaml` says, with which the project ships. `*` in a key stands for a name that you choose.
The settings of each method are on the page [methods](methods.md), those of each distillation term on [terms](terms.md)."""
NETWORKS = """\
`network` and `trained` hold names of the project's own networks, or of others, whose builders [`networks`](#networks) tells.
The project's own are {names}."""
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

One section for each suite that was run here. Each number of a suite with a lock can be traced: the lock lists the hashes
of the code, parameters, data and networks behind it. [How to read a table](../README.md#how-to-read-the-table)."""
NO_LOCK = "none: the suite was run before there were locks, so the hashes of its code and data were not kept"
SCALE = """\
# Planning past this machine

What the ImageNet suites and a suite of a thousand cells cost, computed from their parameters and from measured figures
(`docs/measured/`)."""
SCALE_COUNTED = """\
- **Epochs** are those of all trainings together: pruning, distillation, encoding, and of networks that start without weights.
  **Images** are those that they train on.
- **MACs**: a training step has three times those of the forward pass, and a teacher beside it adds one forward pass. Every
  network counts as dense; `compute.train_remaining` makes most trainings shorter. Validation and tests are left out.
- **GPU hours** are MACs over the throughput below. Prunings do not wait for one another, so with a GPU for each a suite takes
  as long as its **longest cell**: training, pruning, distillation and encoding.
- **In DVC's cache**: data in memory, then in float32 every trained network, one for each pruning and two for each cell.
  ImageNet stays in its folder.
- **DVC** and `dvc.lock` are the share of the largest run below. **Timing** is the stage `latency`, which has a machine to
  itself."""
SCALE_RATES = """\
A figure is taken over to other networks by their MACs. Small networks use less of a GPU than large ones, so a ResNet-18 takes
longer on an A100 than these hours say. No GPU was at hand here; measure yours with a short run, write it into
`docs/measured/throughput.json`, and run `python -m tools.docs`."""
SCALE_DVC = """\
`python -m bench.thousand_cells --json docs/measured/cells.json` runs the graph of `dvc.yaml` as `make repro` does, with
commands that only write small files. All CPU time counts, that of these commands and of the last `dvc repro` too.
**Memory** is that of the largest process."""
SCALE_BREAKS = """\
## What breaks first

1. **Decoding.** One A100 takes {eats} images a second of `{hungry}`. A core here decodes and cuts {decodes}
   (`python -m bench.decoding`, photographs of {kilobytes} kB), so a GPU needs {cores} cores (`running.workers`). With fewer,
   `data.cache` keeps the images decoded, as squares of `data.size`.
2. **A single training.** The longest cell, of `{longest}`, takes {hours} hours on one GPU. More machines do not
   shorten it; more GPUs do (`compute.processes`).
3. **Timing.** `latency` times the shapes of `{many}` one after the other: at most {timing} minutes that cannot be
   shared.
4. **`dvc.lock`.** It is written whole after each chain of stages. `{many}` writes {written} GB in all, and a
   suite of ten times as many cells {ten_times} GB. Beyond some thousand cells, split the suite."""
RECIPE = """\
# The training recipe

What each part of the recipe is worth, measured on the validation split of CIFAR-10 with ResNet-20 and the suite
`cifar10-resnet20`: `python -m bench.parts recipe --data data/cifar10 --dense FILE --epochs {epochs}`. The test split has no
say in it. Parts of the training from random weights that cannot be told apart from the plain recipe are off in the suites.
The large learning rate after pruning stays on, because what is known of it is about longer trainings. So few epochs
decide little: what averages weights or smooths labels may be worth more in long trainings, too.
Measured on: {machines}."""
RECIPE_TRAINED = """\
## Training from random weights

{epochs} epochs each, mini-batches of 128, bfloat16. Each part alone is added to the plain recipe; Δ is the mean over
seeds of differences paired by seed, with its 95 % interval by Student's t. p is McNemar's exact test on the {images}
validation images, the seeds pooled image by image, corrected by Holm for the rows of this table; below {level} a part
did something to these networks."""
RECIPE_PRUNED = """\
## After pruning

One trained network, half of its filters pruned by l1 (coupled), 1 epoch in stage prune and {epochs} in stage distill.
Δ, interval and p as above."""
AHSG = """\
# Does the acceleration of AHSG-HT help?

{verdict}

The method's name promises acceleration: a heavy ball on iterates that are thresholded after every step. The released
code never applies it ([methods.md](methods.md#ahsg_ht)). Here it acts.
`python -m bench.parts ahsg --data data/cifar10 --dense FILE` prunes one trained ResNet-20 to half of its filters
(CIFAR-10, coupled) under every setting of the others, with what else
[suites/cifar10-resnet20.yaml](../suites/cifar10-resnet20.yaml) says, but for the precision. Make that suite active and set
`compute.precision: {precisions}` in `params.yaml` first; trainings of another precision are refused. Epochs of thresholding:
{thresholding}; with the masks held: {held}. Measured in {precisions} on: {machines}.{lacking}

Each row below asks what one choice changes, everything else and the seed being equal; Δ is the mean of such pairs in
points of validation accuracy, with its 95 % interval by Student's t. p is by the same test, corrected for the number of
questions (Holm); an interval is not, so that it may leave zero out where no effect shows. Pairs of one seed share images:
the intervals are narrower than those of as many seeds would be. A heavy ball h also makes the steps 1 / (1 - h) times
as long in the long run, 1.4 times at 0.3, which a larger learning rate would do too."""
AHSG_NOT_YET = "**Not measured yet:** no two trainings differ in their heavy ball alone."
AHSG_YES = "**Yes, here:** {what}."
AHSG_NO = "**It does not show:** no heavy ball is better than none, in any of {comparisons} comparisons (smallest p: {least})."
AHSG_ELSE = "What else shows: {what}."
AHSG_NOTHING_ELSE = "Nothing else shows either."
AHSG_LACKING = """

**Not finished:** {done} of {all} trainings are there. What follows is of those alone."""
AHSG_MASKING = """\
Masking the momentum of dropped filters (`mask_momentum`): of {pairs} pairs that differ in nothing else, {same} are right on
the same images. With `revival: damped`, as here, a dropped filter does not come back while so few steps are made, so that
what its momentum holds is never used. Pairs above that agree on every image with another one count once."""
AHSG_SETTINGS = """\
## All settings

Validation top-1 in percent on {images} images, the mean over seeds {seeds}, or over as many of them as brackets say."""
