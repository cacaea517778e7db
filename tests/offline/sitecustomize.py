"""Read by every Python that starts with this folder on PYTHONPATH: connections leave this machine only as an error."""

import socket

_connect = socket.socket.connect


def _guarded(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"nothing may leave this machine, but something reached for {address[0]}")
    return _connect(self, address)


socket.socket.connect = _guarded
