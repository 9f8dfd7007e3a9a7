"""Routes of every job, without the part of FastAPI that finds the arguments of a function.

FastAPI still describes these routes in the OpenAPI document. It would also go through the
parameters of the function and of its dependencies at each request.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from restore.service.auth import owner_of

OWNER = "key_owner"
"""The parameter that gets the owner of the request."""


class DirectRoute(APIRoute):
    """A route whose function gets the request, its owner, and the parts of the path as texts.

    The function returns a response. Other parameters are not possible.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        endpoint: Callable[..., Coroutine[Any, Any, Response]] = self.endpoint
        needs_owner = OWNER in inspect.signature(endpoint).parameters

        async def answer(request: Request) -> Response:
            arguments = request.path_params
            if needs_owner:
                arguments = {**arguments, OWNER: await owner_of(request)}
            return await endpoint(request, **arguments)

        return answer
