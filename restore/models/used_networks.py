"""Which networks made a result, and whether the manifest still describes them in the same way.

A record of a result holds a text for each network that its request asked for: the catalog task, the
requested variant, the variant that served it, and a checksum of the rows of the latter. Changes of
other rows leave the result valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from weakref import WeakKeyDictionary

from restore.models.catalog import Catalog

_WITHOUT_EFFECT = frozenset(
    {
        "id",
        "also_serves",
        "fallback_for",
        "urls",
        "archive",
        "member",
        "older_paths",
        "bytes_about",
        "licence",
        "commercial_use",
        "embedded",
    }
)
"""Fields of a row that say nothing about what the network computes."""
DIGEST_CHARACTERS = 16

_DIGESTS: WeakKeyDictionary[Catalog, dict[tuple[str, str], str]] = WeakKeyDictionary()
"""Checksums by task and variant, of the catalogs that are in use."""


@dataclass(frozen=True, order=True)
class UsedNetwork:
    """A network that a request asked for.

    Attributes:
        task: catalog task.
        variant: the requested variant.
        served: the variant that was used, such as an embedded one.
    """

    task: str
    variant: str
    served: str

    def to_text(self, catalog: Catalog) -> str:
        """Return the text that a record of a result holds."""
        digest = _digest(catalog, self.task, self.served)
        return f"{self.task} {self.variant} {self.served} {digest}"

    @classmethod
    def from_text(cls, text: str) -> tuple[Self, str]:
        """Return the network of a text, and its checksum.

        Raises:
            ValueError: the text is none of `to_text`.
        """
        task, variant, served, digest = text.split(" ")
        return cls(task, variant, served), digest


@dataclass(frozen=True)
class KnownNetworks:
    """Compares the networks of older results with a manifest.

    Attributes:
        catalog: the rows of the manifest.
    """

    catalog: Catalog

    @classmethod
    def load(cls) -> Self:
        """Return those of this installation.

        Raises:
            RestoreError: WEIGHTS_MANIFEST.
        """
        return cls(Catalog.load())

    def changed(self, used: Iterable[str]) -> str:
        """Return the first network that has changed, such as "upscale x4plus".

        Args:
            used: texts of `UsedNetwork.to_text`.

        Returns:
            An empty text if all are the same.

        Raises:
            ValueError: a text is none of `UsedNetwork.to_text`.
        """
        return next((name for text in used if (name := self._changed(text))), "")

    def _changed(self, text: str) -> str:
        used, digest = UsedNetwork.from_text(text)
        task, variant, served = used.task, used.variant, used.served
        is_same = (
            {variant, served} <= set(self.catalog.variants(task))
            and served in {variant, self.catalog.lite_variant(task, variant)}
            and digest == _digest(self.catalog, task, served)
        )
        return "" if is_same else f"{task} {variant}"


def _digest(catalog: Catalog, task: str, variant: str) -> str:
    """Return the checksum of the rows of a variant."""
    known = _DIGESTS.setdefault(catalog, {})
    if (task, variant) not in known:
        known[task, variant] = _new_digest(catalog, task, variant)
    return known[task, variant]


def _new_digest(catalog: Catalog, task: str, variant: str) -> str:
    rows = [
        row.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
        for row in catalog.group(task, variant)
    ]
    text = json.dumps(rows, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]
