"""How hpo itself uses torch: on one thread and with gradients, whatever the caller's settings are."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def own_mode() -> Iterator[None]:
    """One thread, gradients on, no inference mode, no autocast; the caller's settings come back afterwards.

    Networks this small lose more by sharing a step among threads than they gain, and a matrix product may give
    other bits on another number of threads. Tensors name their device themselves: a mode for it would slow
    every call down.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)
