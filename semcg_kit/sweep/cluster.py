"""The same on the workers of a Dask cluster: one that is started here, or one that exists already.

Each task is sent to one worker as a function call with plain values; results are files. So the workers must see the
same files as this process under the same paths, and have this package installed. If a worker dies, Dask gives its task
to another one, which resumes from the last saved state. Where workers declare a resource "GPU"
(`dask worker --resources GPU=1`), a task asks for one.
"""

import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import dask
from distributed import Client, Future, LocalCluster, WorkerPlugin

from semcg_kit.sweep.attempt import Task, carry_out, stop_all

__all__ = ["Dask"]

_LOST = 600.0  # seconds without any worker after which the sweep gives up


class _IgnoreInterrupt(WorkerPlugin):
    """Ctrl-C reaches every process of the terminal; only the sweep acts on it."""

    name = "semcg-ignore-interrupt"

    def setup(self, worker: object) -> None:
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class Dask:
    """Executes tasks on Dask.

    Parameters
    ----------
    local : int
        Start so many workers on this machine, reachable from it alone; each is a process that is restarted if it dies.
    scheduler : str
        Address of a scheduler, "tcp://host:8786", if `local` is 0.

    Raises
    ------
    OSError
        If no scheduler answers there, or it has no worker within a minute.
    """

    def __init__(self, *, local: int = 0, scheduler: str = ""):
        self._cluster = None
        if local:
            # A lost worker that is not back by then is given up; a busy machine takes longer than the default of 15 s.
            dask.config.set({"distributed.deploy.lost-worker-timeout": f"{_LOST:.0f}s"})
            self._cluster = LocalCluster(
                n_workers=local,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=None,  # the work is done by a process of its own
            )
        try:
            self._client = Client(self._cluster or scheduler, timeout=20, set_as_default=False)
        except (OSError, ValueError) as error:
            seen = f"no Dask scheduler at {scheduler!r} ({error})"
            raise OSError(f"{seen}; write --scheduler tcp://host:8786") from None
        if local:
            self._client.register_plugin(_IgnoreInterrupt())
        self._client.wait_for_workers(1, timeout=60)
        self._submitted: list[Future] = []
        self._seen = time.monotonic()  # when there was a worker last

    def _workers(self) -> list[dict]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"].values())

    @property
    def capacity(self) -> int:
        """How many tasks the present workers take at a time."""
        workers = self._workers()
        with_gpu = [int(worker["resources"]["GPU"]) for worker in workers if "GPU" in worker["resources"]]
        return sum(with_gpu) or sum(worker["nthreads"] for worker in workers)

    def submit(self, task: Task) -> Future:
        """Give a task to the scheduler."""
        gpu = any("GPU" in worker["resources"] for worker in self._workers())
        future = self._client.submit(carry_out, task, pure=False, resources={"GPU": 1} if gpu else None)
        self._submitted.append(future)
        return future

    def ended(self, futures: Iterable[Future]) -> list[Future]:
        """Wait a moment, and return those that are done.

        Raises
        ------
        OSError
            If the scheduler is gone, or all workers are for ten minutes.
        """
        time.sleep(0.5)
        kept = "finished work is kept, and the same command resumes the sweep"
        if self._client.status not in ("running", "connecting"):
            raise OSError(f"the Dask scheduler is gone; {kept}")
        if self.capacity:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > _LOST:
            raise OSError(f"no Dask worker for {_LOST / 60:.0f} minutes; {kept}")
        return [future for future in futures if future.done()]

    def stop(self) -> None:
        """Ask what runs to save and to end."""
        if self.capacity:
            self._client.run(stop_all, on_error="ignore")
        else:  # no worker is left to report the end
            self._client.cancel(self._submitted)

    def close(self) -> None:
        """Stop what still runs, and the workers if they were started here."""
        with suppress(OSError, TimeoutError):
            if not all(future.done() for future in self._submitted):
                self.stop()
        self._client.close()
        if self._cluster:
            self._cluster.close()
