"""Refusals as Microsoft's v2.0 endpoints word them (RFC 6749 section 5.2, extended)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from tornado.web import HTTPError


class ProtocolError(HTTPError):
    """One refusal: `error` is the OAuth code, `number` the AADSTS number."""

    def __init__(
        self, error: str, number: int, message: str, *, status: int = 400, suberror: str = ""
    ) -> None:
        super().__init__(status)
        self.error = error
        self.number = number
        self.suberror = suberror
        self.description = f"AADSTS{number}: {message}"

    def body(self, correlation_id: str) -> dict[str, Any]:
        """The JSON members of the error response."""
        trace_id = str(uuid.uuid4())
        timestamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": f"{self.description} Trace ID: {trace_id} "
            f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
            "error_codes": [self.number],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
        }
        if self.suberror:
            body["suberror"] = self.suberror
        return body
