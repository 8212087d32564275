"""What happens when a rank fails or dies: the whole run ends, and can be resumed from its last checkpoint.

- A rank raises an error. It prints one line, "tinyalex: rank 1 of 4: ...", and ends all ranks with MPI_Abort. For a
  bug, an error that is neither a TinyAlexError nor an OSError nor a lack of memory, a traceback comes first.
- All ranks raise the same error, such as a batch that is too small. Only rank 0 prints it: the others wait OTHERS_WAIT
  seconds, within which rank 0 ends them.
- A rank is killed, by the system or by hand. None of our code runs. mpiexec notices, ends the other ranks, and says so
  (with MPICH: "BAD TERMINATION").
- A rank hangs, or its machine is cut off. The others wait in their next sum, without a time limit; end mpiexec.
- A signal, such as Ctrl-C, may reach one rank or all. They finish the step, save, and stop together.

The checkpoint on disk is complete in each case, if the run came as far as its first: it is written to a temporary file
that then takes its place. It is at most `save_minutes` old. A temporary file (.*.tmp) may lie beside it, and
history.jsonl may lack an epoch; `tinyalex train --resume` mends both and goes on, with any number of ranks.
"""

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tinyalex.backend import use_threads
from tinyalex.errors import Stopped, TinyAlexError
from tinyalex.parallel.ranks import Ranks, all_ranks

OTHERS_WAIT = 2.0  # seconds
OUTPUT_TIME = 0.5  # seconds in which mpiexec passes on what was printed; output after MPI_Abort may be lost


@contextmanager
def ranks_at_work() -> Iterator[Ranks]:
    """A block that all ranks run together, each with its share of the cores. An error in one rank ends all ranks.

    Raises UsageError as `all_ranks` does, and in a process that trains alone whatever the block raises.
    """
    ranks = all_ranks()
    try:
        with use_threads(ranks.threads):
            yield ranks
    except (Exception, KeyboardInterrupt) as error:
        if ranks.size > 1 and not (isinstance(error, Stopped) and error.together):
            _end_all(ranks, error)
        raise


def _end_all(ranks: Ranks, error: BaseException) -> None:
    """Print the error, once for all ranks, and end all ranks."""
    if ranks.rank > 0:
        time.sleep(OTHERS_WAIT)
    if not isinstance(error, TinyAlexError | OSError | MemoryError | KeyboardInterrupt):
        traceback.print_exception(error)
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        message += "; use fewer images a step (--batch)"
    print(f"tinyalex: rank {ranks.rank} of {ranks.size}: {message}", file=sys.stderr, flush=True)
    time.sleep(OUTPUT_TIME)
    ranks.abort()
