"""The same work on many items, by several processes side by side."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

__all__ = ["each"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """Yield work(item) of every item, in the order in which they are done.

    An error in one item ends the work, once what other processes had begun is yielded, so that nothing done is lost.
    Processes are spawned: a script that uses them needs `if __name__ == "__main__":`. They end with their parent,
    however it ends.

    Raises
    ------
    OSError
        If a process was ended from outside.
    """
    if processes == 1:
        yield from map(work, items)
        return
    context, items = multiprocessing.get_context("spawn"), iter(items)
    waiting, failed = set(), None
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            while True:
                if failed is None:
                    waiting |= {
                        pool.submit(work, item) for item in islice(items, 2 * processes - len(waiting))
                    }
                if not waiting:
                    break
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    if future.cancelled():
                        continue
                    if error := future.exception():
                        failed = failed or error
                        for other in waiting:
                            other.cancel()
                    else:
                        yield future.result()
        except BrokenProcessPool as error:
            failed = error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if isinstance(failed, BrokenProcessPool):
        raise OSError(
            "a process was ended from outside, for want of memory perhaps. Run the command again, with fewer "
            "--processes; it goes on where it stopped"
        ) from failed
    if failed is not None:
        raise failed


def _end_with_parent() -> None:
    """Let a process end when its parent is killed, so that none goes on writing beside the next call."""
    # An interrupt from the keyboard reaches all; the parent alone says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
