"""The parts put together: workers and front doors of one database, and what sweeps do beside."""

import base64
from pathlib import Path

import pytest
import structlog.testing
from pydantic import SecretStr
from sqlalchemy import text

from core.domain.approval import Answer
from core.domain.ids import RunId
from core.domain.model import ModelAnswer, Prompt, UserText
from core.domain.run import Run, RunStatus
from core.errors import Misconfigured
from core.identity.keys import TrustedKeys
from core.identity.master import MasterKeys
from core.llm.fallback import FallbackModel
from core.ports import LanguageModel, OnText
from sallyport.assembly import Assembly
from sallyport.settings import ModelSettings, Settings, StoreSettings, VaultSettings
from tests.databases import Urls
from tests.scenarios.test_ask_decide_act import SCRIPT
from tests.waiting import until
from tests.world import Company, World, settings_for


def put_together(folder: Path, **models: object) -> Assembly:
    settings = Settings(
        store=StoreSettings(data_dir=folder),
        models=ModelSettings.model_validate(models),
    )
    return Assembly(settings, url="postgresql://nobody@/none")


@pytest.mark.together("providers")
def test_a_chain_of_providers_is_one_model(tmp_path: Path) -> None:
    parts = put_together(
        tmp_path,
        llm="anthropic,openai",
        anthropic_api_key=SecretStr("a"),
        openai_api_key=SecretStr("b"),
        fallback_model="gpt-5.2",
        prices={"gpt-5.2": {"input": "1", "output": "2"}},
    )
    assert isinstance(parts.build_model(), FallbackModel)


def test_a_provider_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        put_together(tmp_path, llm="openai").build_model()
    assert refusal.value.code == "no_api_key"


def test_the_embedded_database_has_a_key_and_any_other_is_given_one(tmp_path: Path) -> None:
    assert put_together(tmp_path).cipher.newest == MasterKeys.in_folder(tmp_path).newest
    key = SecretStr(base64.b64encode(bytes(32)).decode())
    url = SecretStr("postgresql://nobody@/none")
    external = StoreSettings(data_dir=tmp_path / "external", database_url=url)
    given = Settings(store=external, vault=VaultSettings(master_key=key))
    assert Assembly(given, url="").cipher.newest == MasterKeys([bytes(32)]).newest
    without = Assembly(Settings(store=external), url="")
    with pytest.raises(Misconfigured, match="master_key_missing"):
        without.cipher.seal(b"a secret", context="c")
    assert not (tmp_path / "external" / "master.key").exists()


class Fragile:
    """A language model with a bug, for tasks that ask for it."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        (first, *_) = prompt.messages
        if isinstance(first, UserText) and first.text == "Crash.":
            message = "a bug"
            raise RuntimeError(message)
        return await self._model.answer(prompt, on_text=on_text)

    def most_micros(self, prompt: Prompt) -> int:
        return self._model.most_micros(prompt)


class Workers(Assembly):
    def build_model(self) -> LanguageModel:
        return Fragile(super().build_model())


async def test_a_worker_drives_what_a_front_door_starts_and_sweeps_beside_it(
    urls: Urls, tmp_path: Path
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    settings = settings_for(tmp_path, script=script)
    front = Assembly(settings, url=urls.app)
    acme = await World(front).company()
    with structlog.testing.capture_logs() as logs:
        await _story(Workers(settings, url=urls.app), front, acme)
    assert "segment.crashed" in [entry["event"] for entry in logs]


async def _story(workers: Assembly, front: Assembly, acme: Company) -> None:
    async with workers.working(), front.serving() as app:

        async def becomes(run_id: RunId, status: RunStatus) -> Run:
            async def is_there() -> bool:
                return (await app.run(acme.member, run_id=run_id)).status is status

            await until(is_there, seconds=60)
            return await app.run(acme.member, run_id=run_id)

        first = await app.start_run(acme.member, task='Please delete "Old draft"')
        second = await app.start_run(acme.member, task='Please delete "Call the customer"')
        third = await app.start_run(acme.member, task="Crash.")
        for run_id in (first, second):
            await becomes(run_id, RunStatus.AWAITING_APPROVAL)
        failed = await becomes(third, RunStatus.FAILED)
        assert failed.error is not None
        assert failed.error.code == "internal_error"
        assert "bug" not in failed.error.message
        asked, _ = await app.approvals(acme.approver, state=None, before=None, limit=9)
        (question,) = [one for one in asked if one.run_id == first]
        await app.decide(
            acme.approver, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
        )
        async with front.database.for_tenant(acme.tenant.id) as connection:
            await connection.execute(text("update approvals set expires_at = now()"))
        assert (await becomes(first, RunStatus.COMPLETED)).result == "Deleted."
        assert (await becomes(second, RunStatus.COMPLETED)).result == "Nobody decided in time."

        async def is_sealed() -> bool:
            keys = TrustedKeys([front.signer.public_pem()])
            found = await front.audit.verify(acme.tenant.id, keys=keys)
            return found.ok and found.waiting == 0

        await until(is_sealed, seconds=60)
