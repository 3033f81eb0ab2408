"""One run as a command: the table on standard output, the JSON in its file, and the exit status."""

from __future__ import annotations

import argparse
import asyncio
import sys

from loadtest.client.cases import Outcome, selected
from loadtest.client.gateway import Gateway
from loadtest.client.program import UnreachableError, run
from loadtest.client.report import Table, counts_of, to_json

TLS_ADVICE = "; give its CA with --ca, or trust it unchecked with --insecure"


class CommandError(Exception):
    """The command can't be done; the text says why."""


def execute(options: argparse.Namespace) -> int:
    """Run it. Returns 0 when no case failed, else 1. Raises CommandError."""
    gateway = Gateway(options.url, options.ca, options.insecure)
    try:
        gateway.tls()
    except OSError as error:
        raise CommandError(f"{options.ca} can't be read as a CA: {error}.") from None
    table = Table(selected(options.only), sys.stdout, quiet=options.quiet)
    amounts = (options.requests, options.concurrency)
    try:
        report = asyncio.run(run(gateway, options.only, *amounts, table.show))
    except UnreachableError as error:
        advice = TLS_ADVICE if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise CommandError(f"{options.url} can't be reached: {error}{advice}.") from None
    table.finish(report)
    if options.json:
        _write(options, to_json(options.url, report))
    return 1 if counts_of(report.results)[Outcome.FAILED] else 0


def _write(options: argparse.Namespace, text: str) -> None:
    try:
        options.json.write_text(text)
    except OSError as error:
        raise CommandError(f"{options.json} can't be written: {error}.") from None


__all__ = ["CommandError", "execute"]
