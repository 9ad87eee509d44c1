"""What is written on the command line: arguments of tools, and moments."""

import json
from datetime import UTC, datetime
from typing import cast

import click

from core.domain.canonical import JsonObject, repeated_key


class JsonArguments(click.ParamType[JsonObject]):
    """An object, written as JSON."""

    name = "json"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> JsonObject:
        """Return the object; wrong usage where it is none."""
        try:
            found: object = json.loads(str(value))
            twice = repeated_key(str(value))
        except ValueError as error:
            self.fail(f"this is not JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail("arguments are a JSON object, such as {}", param, ctx)
        if twice is not None:
            self.fail(f"arguments have the key {twice!r} twice", param, ctx)
        return cast("JsonObject", found)


class Moment(click.ParamType[datetime]):
    """A day, or a moment, as ISO 8601 has it; in UTC where it does not say."""

    name = "date"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment, aware; wrong usage where it is none."""
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("a date is written as 2026-11-20, or 2026-11-20T12:00:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
