"""Structured logs: constant messages and fields, one line each, on standard output.

Every line within a call carries its `request_id`. Personal values go under keys that begin with `pii.`; tokens and
SDP are never logged at info or above.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the call that is being served; empty outside of one."""

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""Where the call that is being served stands in its trace (W3C trace-context); empty when nobody said."""

Logger = structlog.stdlib.BoundLogger


def get(name: str) -> Logger:
    """Get the logger of a module, such as `media.room`."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def configure(service: str, level: str, form: Literal["json", "console"]) -> None:
    """Send everything, the libraries' logs included, to standard output in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_context(service),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for ours in ("chassis", service):
        logging.getLogger(ours).setLevel(level.upper())


def _add_context(service: str) -> structlog.typing.Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        if identifier := request_id.get():
            event.setdefault("request_id", identifier)
        if trace := traceparent.get():
            event.setdefault("trace_id", trace.split("-")[1])
        return event

    return add


def pii(**values: Any) -> dict[str, Any]:
    """Name personal values: `pii(email=x)` is `{"pii.email": x}`."""
    return {f"pii.{key}": value for key, value in values.items()}


__all__ = ["Logger", "configure", "get", "pii", "request_id", "traceparent"]
