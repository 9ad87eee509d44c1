"""The tool ``send_message_to_user``."""

from typing import Annotated

from pydantic import Field, StringConstraints

from core.domain.task import MessageId
from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Arguments, Context, EffectContext, Output, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import Person


class SendMessage(Arguments):
    """To whom, and what."""

    recipient: Person = Field(description="Who gets it: an email address of the company.")
    text: Annotated[str, StringConstraints(min_length=1, max_length=4000)] = Field(
        description="The message, as plain text."
    )


class MessageSent(Output):
    """Which message was sent."""

    message_id: MessageId


async def what_it_sends(arguments: SendMessage, context: Context[TaskStore]) -> Preview:
    """Show who would read what."""
    email = await context.store.person_email(context.principal, named=arguments.recipient)
    return Preview(
        summary=f"Send a message to {email}.",
        target=email,
        changes=(Change(field="text", before=None, after=arguments.text),),
    )


@tool(risk=Risk.IRREVERSIBLE, preview=what_it_sends, per_minute=30)
async def send_message_to_user(
    arguments: SendMessage, context: EffectContext[TaskStore]
) -> MessageSent:
    """Send a direct message to one person of the company. An approver is asked first.

    Returns the message's id; a message cannot be called back. Use it when somebody asks that
    another person be told something.
    """
    message_id = await context.store.send(
        context.effect, recipient=arguments.recipient, text=arguments.text
    )
    return MessageSent(message_id=message_id)
