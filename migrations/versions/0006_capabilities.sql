-- Keys that sign tokens. They are no tenant's: they sign in the name of the whole installation. The private half is sealed with the
-- master key, which is not here.
create table signing_keys (
  kid text primary key,
  sealed bytea not null,
  jwk jsonb not null,
  created_at timestamptz not null,
  signs_until timestamptz not null,
  verifies_until timestamptz not null
);
grant select, insert on signing_keys to sallyport_app;
grant update (sealed, signs_until, verifies_until) on signing_keys to sallyport_app;

-- Delegated tokens: who acts with one for its person, and the tokens that it came from. While one of those is revoked or gone,
-- the token opens nothing.
alter table access_tokens
  add column actors text[] not null default '{}' check (cardinality(actors) <= 4),
  add column ancestors uuid[] not null default '{}' check (cardinality(ancestors) = cardinality(actors));

-- Tokens for a few calls: which, and how many and how much are left. Spent by one conditional update, before the call is let in.
create table capabilities (
  tenant_id uuid not null,
  token_id uuid not null,
  tools text[] not null check (cardinality(tools) between 1 and 50),
  arguments jsonb,
  uses_left int not null check (uses_left >= 0),
  amount_left_micros bigint not null check (amount_left_micros >= 0),
  primary key (tenant_id, token_id),
  foreign key (tenant_id, token_id) references access_tokens on delete cascade
);

-- Who acts in a run for its requester; empty where they do themselves.
alter table runs add column actor text not null default '';

create or replace function begin_run(p_tenant uuid, p_run jsonb, p_call jsonb, p_events jsonb, p_audit jsonb)
returns jsonb language plpgsql as $$
declare
  v_run runs;
  v_call tool_calls;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  select r.* into v_run from runs r
    where r.tenant_id = p_tenant and r.requester_id = (p_run->>'requester_id')::uuid
      and r.client_key = p_run->>'client_key';
  if found then
    return jsonb_build_object('run_id', v_run.id, 'segment', v_run.segment, 'joined', true,
      'same', v_run.kind = p_run->>'kind' and case v_run.kind when 'agent' then v_run.task = p_run->>'task' else exists (
        select 1 from tool_calls c where c.tenant_id = p_tenant and c.run_id = v_run.id
          and c.request_digest = p_call->>'request_digest') end);
  end if;
  if p_call is not null then
    select r.* into v_run from runs r where r.tenant_id = p_tenant and r.id = (
      select c.run_id from tool_calls c
      where c.tenant_id = p_tenant and c.requester_id = (p_run->>'requester_id')::uuid
        and c.open_digest = p_call->>'request_digest');
    if found then
      return jsonb_build_object('run_id', v_run.id, 'segment', v_run.segment, 'joined', true, 'same', true);
    end if;
  end if;
  v_run := jsonb_populate_record(null::runs, p_run);
  insert into runs (tenant_id, id, requester_id, kind, agent, agent_version, config, task, via, scopes, conversation,
                    client_key, status, dispatch, budget_micros, max_steps, event_seq, actor)
    values (p_tenant, v_run.id, v_run.requester_id, v_run.kind, v_run.agent, v_run.agent_version, v_run.config, v_run.task,
            v_run.via, v_run.scopes, v_run.conversation, v_run.client_key, 'pending', 'queued', v_run.budget_micros,
            v_run.max_steps, jsonb_array_length(p_events), coalesce(v_run.actor, ''));
  if p_call is not null then
    v_call := jsonb_populate_record(null::tool_calls, p_call);
    insert into tool_calls (tenant_id, id, run_id, requester_id, via, tool, arguments, request_digest, undoes, state)
      values (p_tenant, v_call.id, v_run.id, v_call.requester_id, v_call.via, v_call.tool, v_call.arguments,
              v_call.request_digest, v_call.undoes, 'requested');
  end if;
  perform tell(p_tenant, v_run.id, 0, p_events, p_audit);
  return jsonb_build_object('run_id', v_run.id, 'segment', 1, 'joined', false, 'same', true);
end $$;

select protect_tenant_tables();
