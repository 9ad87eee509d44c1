"""The audit: export it, verify it."""

import json
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import click

from core.domain.audit_chain import Problem, Verification
from core.domain.canonical import JsonObject
from core.identity.keys import SigningKey, TrustedKeys
from core.store.audit_file import csv_lines, jsonl_lines, verify_file
from sallyport import settings
from sallyport.commands.answer import Answer, answering, as_json_given
from sallyport.commands.arguments import Moment
from sallyport.commands.session import parts_of_process, tenant_named, tenant_option

COMMAND = click.Group("audit", help="Export and verify the audit.")

_FORMATS = ("jsonl", "csv")


@COMMAND.command("export")
@tenant_option
@click.option("--from", "since", type=Moment(), metavar="D", help="From then on.")
@click.option("--to", "until", type=Moment(), metavar="D", help="Before then.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="jsonl", show_default=True)
@answering
async def export(tenant: str, since: datetime | None, until: datetime | None, form: str) -> Answer:
    """Write the tenant's audit to standard output: jsonl can be verified, csv be read."""
    items: list[str] = []
    async with parts_of_process() as parts:
        exported = parts.audit.export(await tenant_named(parts, tenant), since=since, until=until)
        lines = jsonl_lines(exported) if form == "jsonl" else csv_lines(exported)
        async with aclosing(lines):
            async for line in lines:
                if as_json_given():
                    items.append(line)
                else:
                    click.echo(line, nl=False)
    told = [json.loads(line) for line in items] if form == "jsonl" else items
    return Answer(document={"items": told, "next_cursor": None})


@COMMAND.command("verify")
@click.option("--tenant", metavar="T", help="The tenant's name.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="F",
    help="An export in jsonl; no database is needed.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PEM",
    help="A public key to believe; this installation's own if unset.",
)
@answering
async def verify(tenant: str | None, file: Path | None, keys: tuple[Path, ...]) -> Answer:
    """Check content, order, chain and signatures, of a tenant or of an exported file."""
    if (tenant is None) == (file is None):
        message = "Name either a tenant (--tenant T) or an exported file (--file F)."
        raise click.UsageError(message)
    pems = [path.read_bytes() for path in keys]
    if file is not None:
        own = pems or [SigningKey.open(settings.load().store.data_dir).public_pem()]
        return _verified(verify_file(file, keys=TrustedKeys(own)))
    async with parts_of_process() as parts:
        believed = TrustedKeys(pems or [parts.signer.public_pem()])
        found = await parts.audit.verify(await tenant_named(parts, str(tenant)), keys=believed)
    return _verified(found)


@COMMAND.command("key")
@answering
async def key() -> Answer:
    """Print the public key that verifies this installation's audit anywhere."""
    pem = SigningKey.open(settings.load().store.data_dir).public_pem().decode()
    return Answer(document={"public_key": pem}, shown=pem.strip())


def _verified(found: Verification) -> Answer:
    document: JsonObject = {
        "ok": found.ok,
        "records": found.records,
        "sealed": found.sealed,
        "waiting": found.waiting,
        "blocks": found.blocks,
        "head": found.head,
        "problems": [_problem(one) for one in found.problems],
    }
    lines = [
        (
            f"{found.records} records: {found.sealed} sealed in {found.blocks} blocks, "
            f"{found.waiting} wait to be sealed."
        ),
        *(_in_words(one) for one in found.problems),
        "Nothing is wrong." if found.ok else "This audit is not to be trusted.",
    ]
    return Answer(document=document, shown="\n".join(lines), code=0 if found.ok else 1)


def _problem(problem: Problem) -> JsonObject:
    return {
        "flaw": problem.flaw.value,
        "block": problem.block,
        "record": str(problem.record) if problem.record else None,
        "line": problem.line,
    }


def _in_words(problem: Problem) -> str:
    where = [
        f"{noun} {value}"
        for noun, value in (
            ("block", problem.block),
            ("record", problem.record),
            ("line", problem.line),
        )
        if value is not None
    ]
    return f"  {problem.flaw.value.replace('_', ' ')}: {', '.join(where)}"
