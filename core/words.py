"""The sentences behind the codes: one place, so that every front door says the same."""

from collections.abc import Mapping

from core.errors import Fact, SallyportError

SENTENCES: Mapping[str, str] = {
    # what was asked
    "malformed_body": "The request body is not what this address takes: {detail}.",
    "malformed_query": "The query of this address is not valid: it contains the character NUL.",
    "body_too_large": "The request body is larger than {limit} bytes, the most that is taken.",
    "unsupported_media_type": "Send the body as {wanted}, and say so in its Content-Type.",
    "invalid_field": "The value of {key} is not valid: {detail}.",
    "unknown_address": "There is nothing at this address. What there is: /api/v1/openapi.json.",
    "method_not_allowed": "This address does not take {method}.",
    "http_error": "This request cannot be answered (status {status_code}).",
    "host_not_allowed": "This server answers to its own machine's names only. Set SALLYPORT_PUBLIC_URL to be reached by another.",
    "request_failed": "Something went wrong on our side. Nothing more is known here; try again, or tell the operator.",
    "unknown_key": "The key {key} is not known here; remove it.",
    "invalid_arguments": "The arguments of {tool} are not valid: {detail}.",
    "invalid_prompt": "The arguments of the prompt {prompt} are not valid: {detail}.",
    "unknown_prompt": "There is no such prompt. Those that you may use are listed for you.",
    "unknown_completion": "There is no such prompt, address or argument to complete.",
    "unknown_tool": "There is no tool named {tool}. The tools you may use are listed for you.",
    "tool_disabled": "The tool {tool} is switched off for your company. Ask an admin to enable it.",
    # who asked
    "no_token": "Send a bearer token: sign in, or have an operator make one (sallyport token create).",
    "invalid_token": "This token is not valid here: it is unknown, expired, revoked or of another audience.",
    "missing_scope": "This token does not carry the scope {scope}.",
    "policy_denied": "The policy does not allow this: {reason}",
    "policy_error": "A policy could not be applied to this call, so it was not made. Tell an admin.",
    "policy_conflict": "The policies contradict each other about this call, so it was not made: {reason}",
    "scope_not_allowed": "A token of audience {audience} for this person cannot carry {scopes}.",
    "invalid_ttl": "A token lives for at least a second and at most {longest_days} days.",
    "invalid_capability": "A token for a few calls names 1 to {tools} tools, 1 to {uses} uses, at most {dollars} dollars and 1 to {seconds} seconds.",
    "capability_exceeded": "This token is not for this call of {tool}: it names other tools, or other arguments.",
    "capability_spent": "This token is used up: no use, no money or no time is left for a call of {tool}.",
    "tenant_mismatch": "That does not belong to your company.",
    # letting a client in
    "invalid_request": "This request to sign in is not valid: {detail}.",
    "invalid_client": "This client is not known here, or did not prove that it is the one it names.",
    "invalid_grant": "This code or token is not valid: it is unknown, used, expired, revoked or another client's.",
    "invalid_scope": "These scopes cannot be had: {scopes}.",
    "invalid_target": "Tokens are for {resource} only, and the request must name it.",
    "invalid_redirect_uri": "A redirect URI is not one that a code may be sent to: {detail}.",
    "invalid_client_metadata": "What the client says of itself cannot be taken: {detail}.",
    "unsupported_response_type": "Only the response type code is known here.",
    "unsupported_grant_type": "Only authorization_code, refresh_token and token exchange are known here.",
    "access_denied": "The person did not allow it.",
    "login_required": "The person must sign in or be asked, and the request forbids both.",
    "unknown_client": "The client that sent you here is not known: {detail}.",
    "redirect_not_registered": "The address that the client wants the answer sent to is not one of those that it has registered.",
    "request_gone": "This request has been answered already, has expired, or belongs to another sign-in. Begin anew in your client.",
    "form_not_ours": "This form was not sent from our own page. Go back, load the page again, and answer there.",
    "too_many_attempts": "Too many attempts from your address. Try again in {retry_after_seconds} seconds.",
    # signing in
    "sign_in_expired": "This sign-in is over, or was begun in another browser. Begin again where you came from.",
    "link_not_valid": "This link does not work any more: each works once, for 15 minutes. Ask for a new one.",
    "malformed_form": "This form cannot be taken: {detail}.",
    "invalid_return_to": "This address to go back to is none of ours, so nobody is sent there.",
    "provider_unavailable": "Your company's sign-in cannot be reached now ({detail}). Try again shortly.",
    "provider_refused": "Your company's sign-in did not let you in, or cannot be believed: {detail}.",
    "email_not_verified": "Your company's sign-in does not say that your email is verified, so nobody can be signed in by it.",
    "email_not_allowed": "Your company's sign-in may not speak for people of {domain}.",
    "groups_not_told": "You are in more groups than your company's sign-in tells ({claim}), so your roles are not known.",
    "person_unknown": "Nobody here has the email {email}. Ask an admin to create you first.",
    "person_disabled": "You cannot sign in here any more. Ask an admin.",
    "identity_mismatch": "Another account of your company's sign-in is linked to {email} already. Ask an admin.",
    "no_identity_provider": "The tenant {tenant} has no identity provider. Set one with: sallyport idp set.",
    "invalid_provider": "That identity provider cannot be used: {detail}.",
    "direct_audience_taken": "Another tenant takes tokens of this issuer and audience already. Use an audience of your own.",
    # approvals
    "approval_closed": "This approval is closed already: {state}.",
    "wrong_digest": "What you saw is not what would run. Look at the approval again, then decide.",
    "self_approval": "You asked for this yourself; somebody else must decide.",
    "not_eligible": "You may not decide this. It needs {approvers}.",
    "already_decided": "You have decided this already.",
    "wrong_answer": "This approval takes one of: {answers}.",
    "reason_too_long": "A reason has at most {limit} characters.",
    "decision_needs_page": "A model may not decide for a person. Open the approval and decide there.",
    "scope_needs_admin": "Only an admin may allow this for good; approve it once or for this run.",
    "needs_approval": "{tool} needs somebody's approval, and only a run can wait for it. Start a run for this.",
    # not there
    "not_found": "There is no such {noun}.",
    "unknown_tenant": "There is no tenant named {tenant}. See them with: sallyport tenant list.",
    "unknown_person": "Nobody in {tenant} has the email {email}. Create them with: sallyport principal create.",
    "invalid_tenant_name": "A tenant's name is 1 to 63 small letters, digits and hyphens, and begins with no hyphen.",
    "invalid_email": "That is not an email address, such as alice@acme.test.",
    "tenant_exists": "There is a tenant named {tenant} already. Choose another name.",
    "principal_exists": "There is a person with the email {email} already.",
    "not_yours": "This {noun} is somebody else's; only they or an admin may do that.",
    "invalid_task": "A task is a text of 1 to {limit} characters.",
    "key_reused": "This Idempotency-Key was used for another request already. Use a new one.",
    "undone_already": "This call was undone already, or is being undone now.",
    # runs
    "budget_exceeded": "The run has used its budget of {budget} and was stopped.",
    "max_steps": "The run reached its limit of {max_steps} steps before it was done. Ask for less at once.",
    "cancelled": "The run was cancelled.",
    "run_ended": "The run has ended already: {status}.",
    "requester_gone": "The person who asked for this is no longer known here. The run was stopped.",
    "stuck": "The agent made the same call {times} times in a row and was stopped.",
    "unknown_tools": "The agent asked for tools that do not exist ({tool}) and was stopped.",
    "segment_timeout": "The run worked for {seconds} seconds without a pause, its limit, and was stopped.",
    "run_timeout": "The run was active for {seconds} seconds, its limit, and was stopped.",
    "model_failed": "The language model could not answer ({detail}). Try again later, or have an operator look.",
    "model_overloaded": "The language model {provider} is overloaded or cannot be reached ({detail}). Try again shortly.",
    "model_refused": "The language model declined this task.",
    "model_truncated": "The language model's answer was cut off at its limit of {limit} tokens.",
    "internal_error": "Something went wrong on our side. The run was stopped; nothing more happens.",
    # calls
    "denied": "{by} denied this{because}.",
    "expired": "Nobody decided in time, so the call was not made.",
    "changed_too_often": "What this call would do kept changing while people were asked; it was not made.",
    "grant_lost": "The approval no longer covers this call: {detail}.",
    "outcome_unknown": "The call was under way when a worker died; whether it happened is not known.",
    "did_not_happen": "The call did not happen; {by} looked and said so.",
    "tool_timeout": "{tool} did not answer within {seconds} seconds.",
    "tool_unavailable": "{tool} cannot be reached now. Try again later.",
    "tool_result_invalid": "{tool} answered with something that does not fit its contract.",
    "tool_error": "{tool} failed on our side. Nothing more is known; try again or tell an admin.",
    "invalid_cursor": "This cursor is not one of ours. Leave it out to start from the first page.",
    "project_archived": "The project {project} is archived and takes no new tasks.",
    "changed_since": "Somebody else has changed this {noun} since, so it was left alone.",
    "wrong_version": "The document is at version {version} now. Read it again before you write.",
    "nothing_to_undo": "This call cannot be undone: {detail}.",
    "too_late_to_undo": "This could be undone for {days} days; that time is over.",
    "invalid_credential_name": "A credential's name is 1 to 200 letters, digits and . _ : / @ -, and begins with a letter or digit.",
    "invalid_secret": "A secret is a text of {shortest} characters at least and {longest} bytes at most.",
    "credential_missing": "There is no credential named {name}. Ask an admin for one.",
    "credential_expired": "The credential {name} has expired. Sign in there again, or ask an admin to renew it.",
    "credential_unreadable": "The credential {name} is there but cannot be opened. Tell an admin.",
    "credential_after_call": "A tool asked for the credential {name} after its call had ended.",
    "nothing_to_verify": "There is nothing to verify: {file} has neither a record nor a block in it.",
    "too_many_streams": "Too many streams are open for you or your company. Close one, or try again in {retry_after_seconds} seconds.",
    "rate_limited": "Too many calls of {tool} at once. Try again in {retry_after_seconds} seconds.",
    # upstream servers
    "upstream_changed": "{tool} is not what was accepted any more: its server has changed it, or dropped it. An admin has to accept it first.",
    "upstream_not_allowed": "There is no upstream server {upstream} here. The operator allows them by name.",
    "upstream_not_connected": "Your company is not connected to the upstream server {upstream}.",
    "upstream_changed_again": "{tool} has been changed again since you looked. Look at it anew, then accept it.",
    "upstream_tool_unusable": "{tool} cannot be accepted: {detail}.",
    "nothing_to_accept": "There is nothing to accept about {tool}: it is what was accepted, or not there any more.",
    "upstream_name_clash": "Two tools of that server would have one name here.",
    "upstream_name_illegal": "The tool's name makes no name of at most 64 letters, digits, hyphens and underscores here.",
    "upstream_address_refused": "The upstream server {upstream} is not where it may be: no https, an inner network, or a redirect.",
    "upstream_unreachable": "The upstream server {upstream} cannot be reached now.",
    "upstream_timeout": "The upstream server {upstream} did not answer in time.",
    "upstream_too_large": "The upstream server {upstream} sent more than is borne, and was cut off.",
    "upstream_result_too_large": "The result of {tool} is longer than is taken. The call was made.",
    "upstream_broken": "The upstream server {upstream} answered with what is no MCP.",
    "upstream_refused": "The upstream server {upstream} refused the call.",
    "upstream_unauthorized": "The upstream server {upstream} does not take the credential it was given.",
    "upstream_schema_broken": "{tool} answered with something that does not fit its contract. The call was made.",
    "upstream_tool_failed": "{tool} says that it failed.",
    "upstream_busy": "Too many calls of your company wait for the upstream server {upstream}.",
    "upstream_resting": "The upstream server {upstream} has failed too often in a row and is left alone for {seconds} seconds.",
    # addresses that others name
    "address_refused": "The address {host} may not be called: {detail}.",
    "address_unreachable": "The address {host} cannot be reached now.",
    "address_timeout": "The address {host} did not answer in time.",
    "answer_too_large": "The answer of {host} is larger than {limit} bytes, the most that is taken.",
    # installation
    "migration_failed": "The database could not be migrated: {detail}. Use a login that may create roles.",
    "migration_needed": "The database is not migrated. Run: sallyport migrate.",
    "not_migrated": "The queue's tables are not there. Run: sallyport migrate.",
    "worker_stopping": "This worker is stopping; another one goes on. Try again shortly.",
    "database_unavailable": "The database cannot be reached now. Try again shortly.",
    "database_login_refused": "The database does not let us in: the user or the password is wrong. Correct SALLYPORT_DATABASE_URL.",
    "configuration_changing": "Your company's people, tools or policies are being changed right now. Try again in a moment.",
    "no_worker": "No worker is running. Start one with: sallyport worker.",
    "signing_key_unsafe": "Others can read the audit's signing key. Make it its owner's alone: chmod 600 {path}.",
    "signing_key_invalid": "{path} is no signing key of ours. Put the right one back, or move it away for a new one.",
    "public_key_invalid": "That is no public key of an audit; it is an Ed25519 key in PEM.",
    "master_key_missing": "Credentials cannot be sealed or opened: there is no master key. Set SALLYPORT_MASTER_KEY; make one with: openssl rand -base64 32.",
    "master_key_invalid": "The master keys in {key} are not valid: {detail}.",
    "master_key_unsafe": "Others can read the master key. Make it its owner's alone: chmod 600 {path}.",
    "master_key_unknown": "What was sealed under the master key {key_id} cannot be opened: that key is not there, or somebody has changed what was sealed.",
    "policy_invalid": "The policies do not hold together: {detail}.",
    "port_taken": "Port {port} on {host} is taken. Stop what listens there, or set SALLYPORT_PORT.",
    "address_not_usable": "Cannot listen on {host}, port {port}: {detail}.",
    "demo_stays_here": "The demo answers on this machine only. Unset {key} to run it.",
    "invalid_script": "The script of the scripted model is not valid: {detail}.",
    "unknown_provider": "There is no model provider {provider}. Choose from: {known}.",
    "invalid_price": "The price of {model} is not valid: {detail}.",
    "no_api_key": "The model provider {provider} needs a key. Set it, or set SALLYPORT_LLM=scripted.",
    "unknown_price": "The model {model} has no price in the table, so its cost could not be bounded. Choose one that has.",
    "role_not_granted": "The login in SALLYPORT_DATABASE_URL may not act as {role}. Grant it that role, or use its own login.",
    "data_dir_not_usable": "The data folder {folder} cannot be used: {detail}.",
    "unknown_setting": "The setting {key} is not known.",
    "invalid_setting": "The setting {key} is not valid: {detail}.",
    # the embedded PostgreSQL
    "embedded_start_failed": "{program} of the embedded PostgreSQL failed. See {log}.",
    "embedded_not_started": "The embedded PostgreSQL in {folder} is not started.",
    "embedded_stop_failed": "The embedded PostgreSQL does not stop. See {log}.",
    "embedded_watchdog_failed": "The embedded PostgreSQL in {folder} cannot be watched over. Is the machine out of processes?",
    "embedded_recovering": "The embedded PostgreSQL in {folder} recovers from a crash. Try again in a minute.",
    "embedded_locked": "Another process starts or stops the embedded PostgreSQL in {folder}. Try again shortly.",
    "embedded_in_use": "Other processes use the embedded PostgreSQL in {folder}. Stop them first.",
    "embedded_version_mismatch": "The data in {folder} is of PostgreSQL {found}, and {wanted} is installed. Dump and load it, or use another SALLYPORT_DATA_DIR.",
    "embedded_password_missing": "The file {file} is gone, and with it the way into the embedded PostgreSQL. Put it back from a backup.",
    "embedded_folder_gone": "The folder {folder} was removed while it was in use. Start again.",
    "embedded_folder_not_ours": "The folder {folder} is somebody else's, or others may write to it. Set SALLYPORT_DATA_DIR to one of your own.",
    "embedded_cluster_gone": "The data that {record} names is not in {folder} any more. Put it back, or remove {record} to start afresh.",
    "embedded_no_socket_folder": "There is no safe folder for a socket; {folder} is none. Set TMPDIR to a short path of your own.",
    "embedded_user_missing": "PostgreSQL does not run as root, and there is no account to run it as. Create one of: {names}.",
    "embedded_user_unknown": "The user id {uid} has no entry in the user database, which PostgreSQL needs. Run as a user that has one.",
    "embedded_binaries_missing": "The package {package} is not installed. Run: make setup, or set SALLYPORT_DATABASE_URL.",
}


def sentence_for(code: str, facts: Mapping[str, Fact]) -> str:
    """Return the sentence of ``code`` with ``facts`` filled in; the code itself where it has none."""
    told = {name: _told(fact) for name, fact in facts.items()}
    template = SENTENCES.get(code)
    if template is None:
        beside = ", ".join(f"{name}: {fact}" for name, fact in told.items())
        return f"{code.replace('_', ' ')}{f' ({beside})' if beside else ''}."
    return template.format_map(_Blank(told))


def sentence_of(error: SallyportError) -> str:
    """Return what the user is told about ``error``."""
    return sentence_for(error.code, error.facts)


def _told(fact: Fact) -> str:
    return ", ".join(fact) if isinstance(fact, list) else str(fact)


class _Blank(dict[str, str]):
    """Facts for a template; one that is missing reads as nothing rather than failing."""

    def __missing__(self, key: str) -> str:
        return ""
