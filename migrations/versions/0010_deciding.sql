-- Deciding: edited calls, reminders, absences, feedback, and what a run is told of its conversation.

-- What an approver changed: the arguments as they were asked for, and who changed them last. Null where nobody did.
alter table tool_calls
  add column original_arguments jsonb,
  add column edited_by text;
alter table approvals
  add column original_arguments jsonb,
  add column edited_by text,
  -- When somebody is to be reminded next; null: never. How often they were, and whom else it was put before.
  add column remind_at timestamptz,
  add column reminded int not null default 0,
  add column escalated_at timestamptz,
  add column escalated_to text;
create index approvals_to_remind on approvals (remind_at) where state = 'pending' and remind_at is not null;

-- An answer is to one digest: who approved a call that was then edited may answer to what it has become.
-- in_place_of: who was away and whose deputy answered.
alter table decisions
  add column in_place_of uuid,
  add foreign key (tenant_id, in_place_of) references principals,
  drop constraint decisions_pkey,
  add primary key (tenant_id, approval_id, principal_id, digest);

-- When a tenant reminds of questions, and whom it tells when nobody answers. No row: an hour, a day; after a day, admins.
create table approval_settings (
  tenant_id uuid primary key references tenants,
  remind_minutes int[] not null check (cardinality(remind_minutes) <= 10),
  escalate_minutes int check (escalate_minutes > 0),
  -- A group; null: the admins.
  escalate_to text,
  changed_at timestamptz not null default now()
);

-- Who is away, until when, and who answers in their place.
create table absences (
  tenant_id uuid not null,
  principal_id uuid not null,
  deputy_id uuid not null,
  until timestamptz not null,
  since timestamptz not null,
  primary key (tenant_id, principal_id),
  foreign key (tenant_id, principal_id) references principals,
  foreign key (tenant_id, deputy_id) references principals,
  check (principal_id <> deputy_id)
);
create index absences_of_deputy on absences (tenant_id, deputy_id);

-- What people think of what a run came to; each person's last word.
create table run_feedback (
  tenant_id uuid not null,
  run_id uuid not null,
  principal_id uuid not null,
  good boolean not null,
  reason text not null check (length(reason) <= 2000),
  given_at timestamptz not null,
  primary key (tenant_id, run_id, principal_id),
  foreign key (tenant_id, run_id) references runs,
  foreign key (tenant_id, principal_id) references principals
);

-- What was said before in the conversation that a run was asked in: quoted, and never an instruction.
alter table runs add column context jsonb;
-- Of no rows yet: only chat surfaces start runs in a conversation.
create index runs_of_conversation on runs (tenant_id, (conversation->>'surface'), (conversation->>'address'), created_at desc)
  where conversation is not null;

grant select (remind_at) on approvals to sallyport_directory;
grant create, usage on schema public to sallyport_directory;
set role sallyport_directory;

create function directory_due_reminders(p_now timestamptz, p_limit int)
  returns table (tenant_id uuid, approval_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select a.tenant_id, a.id from approvals a
  where a.state = 'pending' and a.remind_at <= p_now order by a.remind_at limit least(p_limit, 1000)
$$;

reset role;
set role sallyport_owner;
revoke create on schema public from sallyport_directory;

-- As in 0006, with the run's context.
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
                    client_key, status, dispatch, budget_micros, max_steps, event_seq, actor, context)
    values (p_tenant, v_run.id, v_run.requester_id, v_run.kind, v_run.agent, v_run.agent_version, v_run.config, v_run.task,
            v_run.via, v_run.scopes, v_run.conversation, v_run.client_key, 'pending', 'queued', v_run.budget_micros,
            v_run.max_steps, jsonb_array_length(p_events), coalesce(v_run.actor, ''), v_run.context);
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
