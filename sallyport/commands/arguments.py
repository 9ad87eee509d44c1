"""Arguments of tools, as they are written on the command line."""

import json
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
