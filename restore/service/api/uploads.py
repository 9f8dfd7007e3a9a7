"""Forms whose files are stored for their owner while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastapi import Request

from restore.service.bodies import check_declared_size
from restore.service.forms import Form, FormLimits, read_form
from restore.service.records import StoredFile
from restore.service.settings import MIB

if TYPE_CHECKING:
    from restore.service.service import Service

OTHER_PARTS_BYTES = MIB


async def stored_form(request: Request, owner: str, limits: FormLimits) -> Form[StoredFile]:
    """Read a multipart form, and store its files.

    Raises:
        HttpError: 408, 413 or 422.
        RestoreError: PHOTO_TOO_LARGE or DISK_QUOTA, as soon as a file exceeds a limit.
        ClientDisconnect: the client has left.
    """
    service: Service = request.app.state.service
    max_bytes = limits.files * service.settings.max_file_mib * MIB
    check_declared_size(request, max_bytes + OTHER_PARTS_BYTES)
    stored_bytes = (await service.access.limits_of(owner)).stored_bytes

    async def save(stream: AsyncIterator[bytes], name: str, content_type: str) -> StoredFile:
        return await service.files.save(
            stream,
            owner=owner,
            name=name,
            content_type=content_type,
            owner_limit_bytes=stored_bytes,
        )

    async def discard(stored: StoredFile) -> None:
        await asyncio.to_thread(service.files.delete, stored.id)

    return await read_form(request, save, limits, discard)
