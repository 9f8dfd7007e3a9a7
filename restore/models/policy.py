"""Decides which checkpoints a request for a variant uses: official, embedded or either."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from restore.errors import Code, RestoreError
from restore.models.catalog import LITE
from restore.models.store import WeightStore, fetch_remedy
from restore.models.verified_file import VerifiedFile

FALLBACK_CODES = (Code.WEIGHTS_MISSING, Code.WEIGHTS_UNREACHABLE, Code.WEIGHTS_NO_SPACE)
"""Errors after which the policy `auto` uses lite weights. A corrupt file is not one of them: the
user has to look at it."""

log = logging.getLogger(__name__)


class Policy(StrEnum):
    """Which weights a request may use."""

    OFFICIAL = "official"
    LITE = "lite"
    AUTO = "auto"
    LOCAL = "local"

    @classmethod
    def parse(cls, name: str) -> Policy:
        """Return the policy of this name.

        Raises:
            RestoreError: OPTION_INVALID.
        """
        try:
            return cls(name)
        except ValueError:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the weights policy is '{name}', which does not exist",
                f"Set RESTORE_WEIGHTS to one of {', '.join(cls)}.",
            ) from None


@dataclass(frozen=True)
class Resolved:
    """The files that serve a request.

    Attributes:
        net: file of the network.
        partners: files of the partner networks by role.
        variant: the variant of these files: an embedded one if it is a fallback.
        warnings: why a fallback is used.
    """

    net: VerifiedFile
    partners: Mapping[str, VerifiedFile] = field(default_factory=dict)
    variant: str = LITE
    warnings: tuple[str, ...] = ()


def resolve(store: WeightStore, task: str, variant: str, policy: Policy = Policy.AUTO) -> Resolved:
    """Return the files that serve a request for a variant.

    `official`: the variant's own files, downloaded if missing. `lite`: the task's embedded files.
    `auto`: the variant's own files, downloaded if missing, else the embedded files and a warning.
    `local`: as `auto`, for a store that never downloads.
    A request for an embedded variant gets it under every policy.

    Raises:
        RestoreError: OPTION_INVALID for an unknown variant; WEIGHTS_CORRUPT under every policy;
            otherwise as `WeightStore.ensure`, or WEIGHTS_MISSING when the task has no embedded
            weights and needs them.
    """
    if variant == LITE:
        return _resolve_lite(store, task, variant)
    net, *partners = store.catalog.group(task, variant)
    if policy is Policy.LITE or net.embedded:
        return _resolve_lite(store, task, variant)
    try:
        files = {row.role: store.ensure(row) for row in (net, *partners)}
        return Resolved(files.pop(net.role), files, variant)
    except RestoreError as error:
        if policy is Policy.OFFICIAL or error.code not in FALLBACK_CODES:
            raise
        lite = _resolve_lite(store, task, variant, f"; {error.reason}")
        return replace(lite, warnings=(_fallback_warning(store, variant, error),))


def _fallback_warning(store: WeightStore, variant: str, error: RestoreError) -> str:
    """Return the warning about a fallback; without a network it is the same for all variants."""
    if error.code is Code.WEIGHTS_UNREACHABLE and store.connection_failure:
        warning = (
            "lite weights are used, because the official weights cannot be downloaded: "
            f"{store.connection_failure}"
        )
    else:
        warning = f"lite weights are used instead of '{variant}': {error.reason}"
        if error.code is Code.WEIGHTS_MISSING:
            warning += f". {error.remedy.removesuffix('.')}"
    if warning not in store.logged_warnings:
        store.logged_warnings.add(warning)
        log.warning("%s", warning)
    return warning


def _resolve_lite(store: WeightStore, task: str, variant: str, cause: str = "") -> Resolved:
    """Return the embedded files that serve a variant.

    Args:
        store: the weights.
        task: catalog task.
        variant: the requested variant.
        cause: why the official files are not used, for the error; "" if the policy is the reason.
    """
    if LITE not in store.catalog.variants(task):
        # Without a cause the policy excluded the official weights, so fetching does not help.
        remedy = fetch_remedy(task) if cause else "Set RESTORE_WEIGHTS to auto or official."
        raise RestoreError(
            Code.WEIGHTS_MISSING, f"task '{task}' has no embedded lite weights{cause}", remedy
        )
    served = store.catalog.lite_variant(task, variant)
    net, *partners = (store.locate(row) for row in store.catalog.group(task, served))
    return Resolved(net, {file.row.role: file for file in partners}, served)
