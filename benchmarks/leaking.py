"""predict.py's Predictor with a leak: it keeps LEAKED_MB megabytes of each request. What a soak must find (`benchmarks.soak --leak`)."""

from __future__ import annotations

import os
from typing import Any

from predict import Predictor as RealPredictor
from restore.restorer import Restorer, Results

KEPT: list[bytearray] = []


class Predictor(RealPredictor):
    """Restores photos, and forgets nothing."""

    def setup(self) -> None:
        """As ever, but every request leaves something."""
        super().setup()
        run, leaked_bytes = Restorer.run, int(float(os.environ["LEAKED_MB"]) * 1e6)

        def leaking(*given: Any, **named: Any) -> Results:  # noqa: ANN401 - handed on
            KEPT.append(
                bytearray(b"\1" * leaked_bytes)
            )  # written, as untouched pages take no memory
            return run(*given, **named)

        Restorer.run = leaking  # type: ignore[method-assign]
