"""The JSON of requests and responses, with the fields of Replicate's API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from restore.service.api.submit import EVENTS, Webhook

Item = TypeVar("Item")
StatusName = Literal["starting", "processing", "succeeded", "failed", "canceled"]
EventName = Literal["start", "output", "logs", "completed"]


class Problem(BaseModel):
    """An error: problem details as in RFC 9457."""

    title: str = Field(description="The name of the HTTP status.")
    detail: str = Field(description="What is wrong and what to do, after a stable code.")
    status: int = Field(description="The HTTP status.")


class PredictionRequest(BaseModel):
    """A request for a prediction. Other fields are ignored, as Replicate's clients send some."""

    model_config = ConfigDict(extra="ignore")

    input: dict[str, Any] = Field(
        description=(
            "The task, its options and the photos; openapi_schema of the version describes them. A"
            " photo is a data URI, an http(s) URL, or the URL of a file from POST /v1/files."
        ),
    )
    version: str | None = Field(
        None,
        max_length=300,
        description="Id of a version, OWNER/NAME, or OWNER/NAME:ID; if not set, the current one.",
    )
    webhook: str | None = Field(None, description="URL that is called on events.")
    webhook_events_filter: list[EventName] | None = Field(
        None, description="The events that call the webhook; if not set, all of them."
    )
    webhook_completed: str | None = Field(
        None, description="Older form: URL that is called when the prediction has ended."
    )

    def hook(self) -> Webhook | None:
        """Return the webhook of the prediction, if it has one."""
        if self.webhook is not None:
            chosen = self.webhook_events_filter
            events = EVENTS if chosen is None else tuple(e for e in EVENTS if e in chosen)
            return Webhook(self.webhook, events)
        if self.webhook_completed is not None:
            return Webhook(self.webhook_completed, ("completed",))
        return None


class Metrics(BaseModel):
    """Figures of a prediction."""

    model_config = ConfigDict(extra="allow")

    queue_position: int | None = Field(
        None, description="Number of predictions before this one, while it waits."
    )
    predict_time: float | None = Field(None, description="Seconds of the worker.")
    total_time: float | None = Field(None, description="Seconds from the creation to the end.")
    worker: str | None = Field(None, description="Name of the worker.")
    photos: list[dict[str, Any]] | None = Field(None, description="The report of each photo.")


class Urls(BaseModel):
    """Addresses of a prediction."""

    get: str
    cancel: str
    web: str


class Prediction(BaseModel):
    """A prediction."""

    id: str
    model: str
    version: str
    status: StatusName
    input: dict[str, Any]
    output: list[str] | None = Field(
        description="URL of each result, in order. A URL needs no key, and expires."
    )
    logs: str = Field(description="Progress is shown by lines such as ` 42%|####      | 5/12`.")
    error: str | None
    metrics: Metrics
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    urls: Urls
    data_removed: bool = Field(description="Whether input and output have been removed.")
    deadline: datetime | None
    source: Literal["api"] = "api"


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    previous: str | None = None
    next: str | None = None
    results: list[Item]


class Version(BaseModel):
    """A version of the model: it changes with the inputs that the model has."""

    id: str
    created_at: datetime
    cog_version: str
    openapi_schema: dict[str, Any] = Field(description="Describes input and output.")


class Model(BaseModel):
    """The model of the service."""

    url: str
    owner: str
    name: str
    description: str
    visibility: Literal["public", "private"]
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    run_count: int
    cover_image_url: str | None
    default_example: Prediction | None
    latest_version: Version


class FileUrls(BaseModel):
    """Addresses of a file."""

    get: str = Field(description="Its metadata; send it as the value of an input.")
    download: str = Field(description="Its content; this URL needs no key, and expires.")


class File(BaseModel):
    """An uploaded file."""

    id: str
    name: str
    content_type: str
    size: int
    etag: str
    checksums: dict[str, str]
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime
    urls: FileUrls


class Account(BaseModel):
    """Who the API key belongs to."""

    type: Literal["user", "organization"]
    username: str
    name: str
    github_url: str | None
