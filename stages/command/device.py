"""What a device cannot do, told with the cure. torch raises RuntimeErrors for it, known by their text alone on a CPU."""

SMALLER = "make the mini-batches (`batches`) smaller, set compute.precision to bfloat16, or use a machine with more memory"
FEWER = "most likely memory or shared memory (/dev/shm) ran out: set running.workers lower, or make mini-batches smaller"
CURES = {
    "out of memory": SMALLER,
    "can't allocate memory": SMALLER,
    "no kernel image": "this torch was not built for this GPU; install one that is, or set compute.device to cpu",
    "does not have a deterministic implementation": "set compute.device to cpu, and tell the authors what was asked for",
    "DataLoader worker (pid": FEWER,
    "CUDA error": "set compute.device to cpu, or mend the GPU or its driver (nvidia-smi)",
}


def explained(error: RuntimeError) -> str | None:
    """The first line of an error that the device is to blame for, with the cure; None for any other error."""
    text = str(error)
    cure = next((cure for words, cure in CURES.items() if words in text), None)
    return None if cure is None else f"{text.splitlines()[0]}; {cure}"
