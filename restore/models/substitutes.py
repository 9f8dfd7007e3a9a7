"""Which substitutes for official weights a request used, and whether better ones came since.

The policies `auto` and `local` use copies from the package index, or else lite weights, while the
official files are missing. Once those arrive, the same request gives another result. The reverse is
no reason to restore a photo again: a result that was made with the official files is kept after
they were removed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from restore.errors import RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.policy import Policy
from restore.models.store import WeightStore

LITE_WEIGHTS, COPIES, OFFICIAL_WEIGHTS = "lite weights", "copies", "official weights"
_KINDS = (LITE_WEIGHTS, COPIES, OFFICIAL_WEIGHTS)
"""From the last choice to the first."""


@dataclass(frozen=True, order=True)
class Substitute:
    """Weights that were used instead of the official ones.

    Attributes:
        task: catalog task.
        variant: the requested variant.
        used: LITE_WEIGHTS or COPIES.
    """

    task: str
    variant: str
    used: str

    def to_text(self) -> str:
        """Return the text that a record of a result holds."""
        return f"{self.task} {self.variant}: {self.used}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the substitute of a text.

        Raises:
            ValueError: the text is none of `to_text`.
        """
        name, colon, used = text.partition(": ")
        task, space, variant = name.partition(" ")
        if not colon or not space or used not in _KINDS:
            raise ValueError(f"{text!r} does not name weights")
        return cls(task, variant, used)


@dataclass(frozen=True)
class BetterWeights:
    """Looks for weights on this machine that are better than the substitutes of a result.

    Nothing is downloaded. Files are verified as for a request, and each variant is looked for once.

    Attributes:
        store: the weights.
    """

    store: WeightStore
    _present: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def for_policy(cls, policy: str) -> Self | None:
        """Return one for the weights of this installation; None if the policy has no substitutes.

        Raises:
            RestoreError: OPTION_INVALID for an unknown policy; WEIGHTS_MANIFEST.
        """
        if not Policy.parse(policy).has_substitutes:
            return None
        return cls(WeightStore(Catalog.load(), offline=True))

    def than(self, substitutes: Iterable[str]) -> str:
        """Return which better weights there are, such as "official weights of upscale x4plus".

        Args:
            substitutes: as texts. One that names no variant of the manifest is left out: its
                variant cannot be requested any more.

        Returns:
            An empty text if there are none.
        """
        for text in substitutes:
            one = Substitute.from_text(text)
            if one.variant not in self.store.catalog.variants(one.task):
                continue
            present = self._present_kind(one.task, one.variant)
            if _KINDS.index(present) > _KINDS.index(one.used):
                return f"{present} of {one.task} {one.variant}"
        return ""

    def _present_kind(self, task: str, variant: str) -> str:
        if (task, variant) not in self._present:
            self._present[task, variant] = self._find_kind(task, variant)
        return self._present[task, variant]

    def _find_kind(self, task: str, variant: str) -> str:
        rows = self.store.catalog.group(task, variant)
        finders: dict[str, Callable[[Checkpoint], object]] = {
            OFFICIAL_WEIGHTS: self.store.locate,
            COPIES: functools.partial(self.store.ensure_copy, fetch=False),
        }
        for kind, find in finders.items():
            with suppress(RestoreError):  # a file is missing, damaged or another one
                for row in rows:
                    find(row)
                return kind
        return LITE_WEIGHTS
