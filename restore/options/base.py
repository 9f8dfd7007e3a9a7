"""Base class of the option groups: number types, validation and error messages."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from restore.errors import Code, RestoreError
from restore.options.suggest import MAX_SHOWN_CHARACTERS, did_you_mean

_REPR = reprlib.Repr()  # also limits nesting
_REPR.maxstring = _REPR.maxother = MAX_SHOWN_CHARACTERS


def _reject_bool(value: object) -> object:
    """Refuse true and false as numbers: JSON Schema does so too, but pydantic reads true as 1."""
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


Number = Annotated[float, BeforeValidator(_reject_bool)]
WholeNumber = Annotated[int, BeforeValidator(_reject_bool)]
Fraction = Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)]


class Options(BaseModel):
    """A frozen group of options that refuses unknown names.

    `description` of a field is the text of the Cog schema, of the command line's help and of the
    documentation: one sentence on one line, without double quotes or backslashes, because Cog
    reads it from the source of predict.py. A field whose type and bounds do not say what is allowed
    has the missing words in `json_schema_extra["allowed"]`; error messages use them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names of this group's options."""
        return frozenset(cls.model_fields)

    @classmethod
    def own_names(cls) -> tuple[str, ...]:
        """Return the names of the options that this group adds to those of its base classes."""
        inherited = frozenset().union(
            *(base.model_fields for base in cls.__bases__ if issubclass(base, BaseModel))
        )
        return tuple(name for name in cls.model_fields if name not in inherited)

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, object]) -> Self:
        """Validate this group's options in a flat mapping; None means "not given".

        Raises:
            RestoreError: OPTION_INVALID, with the option, its value and what is allowed.
        """
        given = {
            name: value
            for name, value in inputs.items()
            if name in cls.model_fields and value is not None
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _option_error(cls, error) from None

    @classmethod
    def suggestion(cls, name: str, value: object) -> str:
        """Return a question about the value that was probably meant, or an empty string."""
        return did_you_mean(value, choices_of(cls, name))


def choices_of(group: type[Options], name: str) -> tuple[str, ...]:
    """Return the choices of an option, or () if it has none."""
    annotation = group.model_fields[name].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def bounds_of(group: type[Options], name: str) -> tuple[float | None, float | None]:
    """Return the lowest and the highest allowed value of an option; None means no bound."""
    minimum: float | None = None
    maximum: float | None = None
    for constraint in group.model_fields[name].metadata:
        minimum = getattr(constraint, "ge", minimum)
        maximum = getattr(constraint, "le", maximum)
    return minimum, maximum


def value_type_of(group: type[Options], name: str) -> tuple[type[bool | int | float | str], bool]:
    """Return the Python type of an option's values, and whether None is allowed too."""
    annotation = group.model_fields[name].annotation
    if get_origin(annotation) is Literal:
        return str, False
    alternatives = get_args(annotation) or (annotation,)
    optional = type(None) in alternatives
    # Annotated[int, ...] | None keeps its metadata inside the union.
    types = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in alternatives]
    return next(kind for kind in types if kind is not type(None)), optional


def value_error(name: str, value: object, allowed: str, suggestion: str = "") -> RestoreError:
    """Return the error for a value that an option must not have.

    Args:
        name: the option, as the user wrote it.
        value: the value, which is shortened.
        allowed: what is allowed, such as "a whole number of at least 1".
        suggestion: a question about the value that was probably meant, or an empty string.
    """
    reason = f"{name} is {shortened(value)}, which is not allowed"
    return RestoreError(Code.OPTION_INVALID, reason, f"{suggestion}Use {allowed}.")


def choices_in_words(choices: Iterable[str]) -> str:
    """Return such as "one of a, b"."""
    return f"one of {', '.join(choices)}"


def number_in_words(kind: type, minimum: float | None, maximum: float | None) -> str:
    """Return such as "a whole number from 1 to 4"; None means no bound."""
    number = "a whole number" if kind is int else "a finite number"
    if minimum is not None and maximum is not None:
        return f"{number} from {minimum:g} to {maximum:g}"
    return number if minimum is None else f"{number} of at least {minimum:g}"


def _option_error(group: type[Options], error: ValidationError) -> RestoreError:
    first = error.errors()[0]
    name, value = str(first["loc"][0]), first["input"]
    return value_error(name, value, _allowed_values(group, name), group.suggestion(name, value))


def shortened(value: object) -> str:
    """Return how an error shows a value of any type: as in Python, and not longer than a line."""
    try:
        text = _REPR.repr(value)
    except ValueError:
        text = f"{type(value).__name__} of too many digits"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 3] + "..."


def _allowed_values(group: type[Options], name: str) -> str:
    extra = group.model_fields[name].json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        return str(extra["allowed"])
    if choices := choices_of(group, name):
        return choices_in_words(choices)
    value_type, _ = value_type_of(group, name)
    if value_type is bool:
        return "true or false"
    return number_in_words(value_type, *bounds_of(group, name))
