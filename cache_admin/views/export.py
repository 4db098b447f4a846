"""Tables as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence

from django.http import HttpResponse

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_response(filename: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """A CSV download in UTF-8. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    response = download("text/csv; charset=utf-8", filename)
    writer = csv.writer(response)
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return response


def table_response(
    kind: str, name: str, header: Sequence[str], rows: Iterable[Sequence[object]], document: Callable[[], object]
) -> HttpResponse:
    """A table as a file: ``name.csv`` of a header and rows, or ``name.json`` of a document."""
    if kind == "csv":
        return csv_response(f"{name}.csv", header, rows)
    return download("application/json", f"{name}.json", json.dumps(document(), indent=1))


def download(content_type: str, filename: str, content: str = "") -> HttpResponse:
    """A response that the browser saves as ``filename``; characters unfit for a header become "_"."""
    name = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in filename)
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return f"'{cell}"
    return "" if cell is None else cell
