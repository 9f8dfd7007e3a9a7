"""Refusals of settings: the setting as it was given, its value, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from restore.errors import RestoreError
from restore.models.policy import Policy
from restore.options.base import choices_in_words, number_in_words, value_error
from restore.options.suggest import did_you_mean
from restore.service.settings import MAX_KEEP_S, Settings

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "host": "--host",
        "port": "--port",
        "data": "--data",
        "workers": "--workers",
        "worker_urls": "--worker",
        "weights": "--weights",
        "public_url": "--public-url",
        "open": "--open",
    }
)
"""The options of `restore service`, by the names of their settings."""

_SCHEMES = "that begins with http:// or https://, such as"
_SECONDS = f"a number of seconds above 0, at most {MAX_KEEP_S}"
_ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        "worker_urls": f"an address {_SCHEMES} http://gpu1:5000",
        "cors_origins": f"an address {_SCHEMES} https://photos.example.org",
        "public_url": f"an address {_SCHEMES} https://photos.example.org",
        "weights": choices_in_words(Policy),
        "open": "true or false",
        "model": "OWNER/NAME, each with 1 to 60 letters, digits, dots, hyphens and underscores",
        "keep_s": _SECONDS,
        "keep_jobs_s": _SECONDS,
    }
)
"""What is allowed, for the settings that are no numbers with inclusive bounds; in a list, for one
of its values."""
_LIST = "values with commas between them, or a JSON list"


def setting_error(error: ValidationError, given: Mapping[str, object]) -> RestoreError:
    """Return the error for the first setting that was refused.

    Args:
        error: of `Settings`.
        given: the settings of the command line by name; the others are from the environment or
            from `.env`.
    """
    first = error.errors()[0]
    place, value = str(first["loc"][0]), first["input"]
    name = next(
        (each for each, field in Settings.model_fields.items() if field.validation_alias == place),
        place,
    )
    suggestion = did_you_mean(value, Policy) if name == "weights" else ""
    allowed = allowed_values(name)
    if name in given:
        return value_error(FLAGS[name], value, allowed, suggestion)
    variable = place if place != name else f"{Settings.model_config['env_prefix']}{name}".upper()
    if len(first["loc"]) > 1:
        variable = f"a value in {variable}"
    elif first["type"] == "value_error":  # as of `_items`
        allowed = _LIST
    return value_error(f"{variable} (in the environment or .env)", value, allowed, suggestion)


def allowed_values(name: str) -> str:
    """Return in words what a setting, or a value of a list, may be."""
    if words := _ALLOWED.get(name):
        return words
    field = Settings.model_fields[name]
    bounds: dict[str, Any] = {}
    for rule in field.metadata:
        bounds |= {key: getattr(rule, key) for key in ("ge", "le") if hasattr(rule, key)}
    kind = field.annotation if isinstance(field.annotation, type) else str
    return number_in_words(kind, bounds.get("ge"), bounds.get("le"))
