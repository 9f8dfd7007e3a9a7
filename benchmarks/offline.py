"""Measure how long the weights policy `auto` waits for a network that fails.

    python -m benchmarks.offline names
    python -m benchmarks.offline dropped
    python -m benchmarks.offline proxy

All official weights are requested, as when a server starts. Nothing is downloaded: `names` makes
name resolution fail, `dropped` resolves every host to a port whose queue is full, so that
connections get no answer, and `proxy` uses a proxy that accepts connections and never answers.
pip, which is asked for copies of the weights, runs with an index that fails in the same way.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.errors import RestoreError
from restore.models.catalog import Catalog
from restore.models.patience import BRIEF
from restore.models.policy import Policy, resolve
from restore.models.store import WeightStore

QUEUE_CONNECTIONS = 3


def measure_s() -> tuple[float, set[str]]:
    """Resolve every variant; return the seconds and the warnings."""
    catalog, warnings = Catalog.load(), set[str]()
    with tempfile.TemporaryDirectory() as folder:
        search = {"XDG_CACHE_HOME": folder}  # no file of this machine is found
        store = WeightStore(catalog, Path(folder), patience=BRIEF, environment=search)
        began = time.monotonic()
        for row in catalog.rows:
            with suppress(RestoreError):  # the face detectors have no embedded weights
                warnings |= set(resolve(store, row.task, row.variant, Policy.AUTO).warnings)
        return time.monotonic() - began, warnings


@contextmanager
def failing_names() -> Iterator[None]:
    """Let every name resolution fail."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with mock.patch("socket.getaddrinfo", side_effect=error), _without_proxy("index.invalid"):
        yield


@contextmanager
def dropped_connections() -> Iterator[None]:
    """Resolve every name to a port of this machine that drops connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        queue = [socket.socket() for _ in range(QUEUE_CONNECTIONS)]
        for client in queue:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(address)
        found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]
        index = f"127.0.0.1:{address[1]}"
        with mock.patch("socket.getaddrinfo", return_value=found), _without_proxy(index):
            yield
        for client in queue:
            client.close()


@contextmanager
def silent_proxy() -> Iterator[None]:
    """Set a proxy that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, _without_proxy("index.invalid"):
        os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield


def _without_proxy(index: str) -> mock._patch_dict:
    """Return a context without the proxies and the package indexes of this machine.

    Args:
        index: host of the index that pip asks.
    """
    kept = {
        name: text
        for name, text in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith("PIP_")
    }
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": f"https://{index}/simple"}
    return mock.patch.dict(os.environ, kept | pip, clear=True)


NETWORKS = {"names": failing_names, "dropped": dropped_connections, "proxy": silent_proxy}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    network = parser.parse_args(arguments).network
    with NETWORKS[network]():
        seconds, warnings = measure_s()
    print(f"{network}: {seconds:.1f} s, {len(warnings)} different warnings")
    for warning in sorted(warnings):
        print(f"  {warning}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
