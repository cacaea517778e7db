"""The kernels that notebooks are executed in: this very Python, or an installed one, and the process of the last one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError

__all__ = ["Named", "Own", "dying"]


class _Specs(KernelSpecManager):
    """Knows one kernel: this interpreter. A user's own kernels of the same name are never found by accident."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="semcg",
            language="python",
            metadata={"debugger": False, "supported_encryption": ["curve"]},
        )


class Named(AsyncKernelManager):
    """A kernel manager that remembers the process it started, so that a signal can be passed on."""

    started: list[subprocess.Popen] = []

    async def _async_start_kernel(self, **keywords):
        await super()._async_start_kernel(**keywords)
        self.started.append(self.provisioner.process)

    start_kernel = _async_start_kernel


class Own(Named):
    """The same, of this very interpreter, whatever kernels are installed."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return _Specs()


@contextmanager
def dying() -> Iterator[None]:
    """Raise `DeadKernelError` also for a kernel that dies before its first answer, for which nbclient has no class."""
    try:
        yield
    except RuntimeError as error:
        if "Kernel died" not in str(error):
            raise
        raise DeadKernelError(str(error)) from None
