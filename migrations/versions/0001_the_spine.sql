-- Run as sallyport_owner. Keys and indexes lead with tenant_id: under row-level security the planner can use nothing else.

create table tenants (
  id uuid primary key,
  name text not null unique check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  tier text not null check (tier in ('free', 'pro', 'enterprise')),
  epoch bigint not null default 1,
  created_at timestamptz not null default now()
);

create table principals (
  tenant_id uuid not null references tenants,
  id uuid not null,
  email text not null check (email = lower(email) and length(email) between 3 and 254),
  roles text[] not null,
  groups text[] not null default '{}',
  disabled_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, email)
);

create table identity_links (
  tenant_id uuid not null,
  surface text not null,
  external_workspace text not null,
  external_user text not null,
  principal_id uuid not null,
  linked_at timestamptz not null default now(),
  primary key (tenant_id, surface, external_workspace, external_user),
  foreign key (tenant_id, principal_id) references principals
);

create table access_tokens (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  token_hash bytea not null unique,
  audience text not null check (audience in ('api', 'mcp')),
  scopes text[] not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references principals
);

create table tool_settings (
  tenant_id uuid not null references tenants,
  tool text not null,
  enabled boolean not null,
  changed_at timestamptz not null default now(),
  primary key (tenant_id, tool)
);

-- What each run, step and call writes refers to no other table. A reference locks the row that it points at, so that all runs of
-- a tenant, and of a person, meet there. Row-level security lets only the tenant write that the transaction is for; people,
-- tenants and runs are never deleted; and the journal has the run's row when it writes.
create table runs (
  tenant_id uuid not null,
  id uuid not null,
  requester_id uuid not null,
  kind text not null check (kind in ('agent', 'call')),
  agent text not null,
  agent_version int not null,
  config jsonb not null,
  task text not null,
  via text not null,
  scopes text[] not null,
  conversation jsonb,
  client_key text,
  status text not null check (status in ('pending', 'running', 'awaiting_approval', 'completed',
                                         'failed', 'cancelled', 'budget_exceeded')),
  dispatch text not null check (dispatch in ('queued', 'driving', 'parked', 'ended')),
  segment int not null default 1,
  lease int not null default 0,
  driver text,
  queued_at timestamptz not null default now(),
  budget_micros bigint not null check (budget_micros >= 0),
  cost_micros bigint not null default 0 check (cost_micros >= 0),
  max_steps int not null,
  current_step int not null default 0,
  active_ms bigint not null default 0,
  event_seq int not null default 0,
  pause_reason text,
  cancel_requested boolean not null default false,
  result text,
  error_code text,
  error_message text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz,
  primary key (tenant_id, id),
  check ((dispatch = 'ended') = (status in ('completed', 'failed', 'cancelled', 'budget_exceeded')))
) with (fillfactor = 80);
create unique index runs_client_key on runs (tenant_id, requester_id, client_key) where client_key is not null;
create index runs_newest on runs (tenant_id, created_at desc, id);
create index runs_of_requester on runs (tenant_id, requester_id, created_at desc, id);
-- The directory looks across tenants for what is due; these two partial indexes stay as small as the work in hand.
create index runs_queued on runs (queued_at) where dispatch = 'queued';
create index runs_driving on runs (driver) where dispatch = 'driving';

create table steps (
  tenant_id uuid not null,
  run_id uuid not null,
  number int not null,
  thinking text not null,
  text text not null,
  calls jsonb not null,
  stop text not null,
  provider text not null,
  model text not null,
  input_tokens int not null,
  output_tokens int not null,
  cache_read_tokens int not null,
  cache_write_tokens int not null,
  cost_micros bigint not null,
  duration_ms int not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, run_id, number)
);

create table tool_calls (
  tenant_id uuid not null,
  id uuid not null,
  run_id uuid,
  step int not null default 0,
  position int not null default 0,
  handle text not null default '',
  requester_id uuid not null,
  via text not null default '',
  agent text not null default '',
  tool text not null,
  tool_version int,
  arguments jsonb not null,
  request_digest text,
  state text not null check (state in ('requested', 'pending_approval', 'running', 'succeeded', 'failed',
                                       'denied', 'expired', 'unknown', 'cancelled')),
  asked int not null default 0,
  verdict jsonb,
  preview jsonb,
  digest text,
  result jsonb,
  error jsonb,
  inverse jsonb,
  undoes uuid,
  attempts int not null default 0,
  cost_micros bigint not null default 0,
  duration_ms int not null default 0,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  settled_at timestamptz,
  -- Not null as long as nothing else may be the like: a partial index by state would have every update touch all indexes.
  open_digest text generated always as
    (case when state in ('requested', 'pending_approval', 'running', 'unknown') then request_digest end) stored,
  open_undo uuid generated always as
    (case when state not in ('failed', 'denied', 'expired', 'cancelled') then undoes end) stored,
  primary key (tenant_id, id)
) with (fillfactor = 80);
create unique index tool_calls_of_run on tool_calls (tenant_id, run_id, step, position) where run_id is not null;
-- The same call by the same person joins the pending one: one open direct call per request.
create unique index tool_calls_joined on tool_calls (tenant_id, requester_id, open_digest) where open_digest is not null;
create unique index tool_calls_undone_once on tool_calls (tenant_id, open_undo) where open_undo is not null;
create index tool_calls_newest on tool_calls (tenant_id, created_at desc, id);

create table usage_events (
  tenant_id uuid not null,
  id bigint generated always as identity,
  run_id uuid,
  step int,
  call_id uuid,
  kind text not null check (kind in ('model', 'tool')),
  agent text not null,
  name text not null,
  provider text,
  input_tokens int not null default 0,
  output_tokens int not null default 0,
  cache_read_tokens int not null default 0,
  cache_write_tokens int not null default 0,
  unit_prices jsonb not null,
  cost_micros bigint not null check (cost_micros >= 0),
  at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index usage_of_run on usage_events (tenant_id, run_id, step);

create table approvals (
  tenant_id uuid not null,
  id uuid not null,
  run_id uuid not null,
  call_id uuid not null,
  question text not null check (question in ('permit', 'outcome')),
  tool text not null,
  tool_version int not null,
  risk text not null,
  arguments jsonb not null,
  preview jsonb not null,
  digest text not null,
  reason text not null,
  requester_id uuid not null,
  approvers jsonb not null,
  needed int not null check (needed >= 1),
  state text not null check (state in ('pending', 'approved', 'denied', 'expired', 'withdrawn')),
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  closed_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, run_id) references runs,
  foreign key (tenant_id, call_id) references tool_calls
);
create index approvals_newest on approvals (tenant_id, created_at desc, id);
create index approvals_open on approvals (tenant_id, run_id) where state = 'pending';
create index approvals_due on approvals (expires_at) where state = 'pending';
create index approvals_of_call on approvals (tenant_id, call_id);

create table decisions (
  tenant_id uuid not null,
  approval_id uuid not null,
  principal_id uuid not null,
  answer text not null check (answer in ('approve', 'deny', 'happened', 'did_not', 'retry')),
  scope text not null check (scope in ('once', 'run', 'always')),
  reason text not null,
  digest text not null,
  via text not null,
  decided_at timestamptz not null,
  primary key (tenant_id, approval_id, principal_id),
  foreign key (tenant_id, approval_id) references approvals,
  foreign key (tenant_id, principal_id) references principals
);

create table grants (
  tenant_id uuid not null,
  id uuid not null,
  requester_id uuid,
  run_id uuid,
  tool text not null,
  tool_version int not null,
  pattern jsonb not null,
  granted_by uuid not null,
  approval_id uuid not null,
  approvers jsonb not null,
  expires_at timestamptz not null,
  uses_left int check (uses_left >= 0),
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, approval_id) references approvals
);
create index grants_of_tool on grants (tenant_id, tool) where revoked_at is null;

create table run_events (
  tenant_id uuid not null,
  run_id uuid not null,
  seq int not null,
  kind text not null,
  data jsonb not null,
  at timestamptz not null default now(),
  primary key (tenant_id, run_id, seq)
);

-- Text as it comes. Unlogged: it may be lost in a crash, the answer in steps may not.
create unlogged table run_text (
  tenant_id uuid not null,
  run_id uuid not null,
  step int not null,
  seq int not null,
  text text not null,
  at timestamptz not null default now(),
  primary key (tenant_id, run_id, step, seq)
);

create table inbox (
  tenant_id uuid not null references tenants,
  id uuid not null,
  surface text not null,
  external_id text not null,
  payload jsonb not null,
  received_at timestamptz not null default now(),
  handled_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, surface, external_id)
);

create table outbox (
  tenant_id uuid not null references tenants,
  id uuid not null,
  surface text not null,
  address text not null,
  payload jsonb not null,
  attempts int not null default 0,
  due_at timestamptz not null default now(),
  delivered_at timestamptz,
  primary key (tenant_id, id)
);
create index outbox_due on outbox (due_at) where delivered_at is null;

create table audit_records (
  tenant_id uuid not null,
  id uuid not null,
  seq bigint generated always as identity,
  at timestamptz not null,
  action text not null,
  actor text not null,
  run_id uuid,
  call_id uuid,
  tool text,
  -- Canonical JSON as text: jsonb would rewrite numbers, and the digest is over the text.
  content text not null,
  digest text not null,
  xact xid8 not null default pg_current_xact_id(),
  primary key (tenant_id, id)
);
create index audit_in_commit_order on audit_records (tenant_id, xact, seq);
create index audit_by_time on audit_records (tenant_id, at, seq);

create table audit_blocks (
  tenant_id uuid not null references tenants,
  number bigint not null,
  record_ids uuid[] not null,
  upto_xact xid8 not null,
  previous text not null,
  head text not null,
  key_id text not null,
  signature text not null,
  sealed_at timestamptz not null,
  primary key (tenant_id, number)
);

-- What a tool has done under an idempotency key, written in the transaction of the effect.
create table tool_effects (
  tenant_id uuid not null references tenants,
  key text not null,
  tool text not null,
  output jsonb not null,
  at timestamptz not null default now(),
  primary key (tenant_id, key)
);

create table projects (
  tenant_id uuid not null references tenants,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  status text not null check (status in ('active', 'archived')),
  open_to_all boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index projects_by_name on projects (tenant_id, name, id);

create table project_members (
  tenant_id uuid not null,
  project_id uuid not null,
  principal_id uuid not null,
  primary key (tenant_id, project_id, principal_id),
  foreign key (tenant_id, project_id) references projects,
  foreign key (tenant_id, principal_id) references principals
);

create table tasks (
  tenant_id uuid not null,
  id uuid not null,
  project_id uuid not null,
  title text not null check (length(title) between 1 and 200),
  status text not null check (status in ('todo', 'in_progress', 'blocked', 'done')),
  priority text not null check (priority in ('low', 'normal', 'high', 'urgent')),
  assignee_id uuid,
  due_date date,
  created_by uuid not null,
  -- Whether anybody but its creator has worked on it: then it is not the creator's alone to take back.
  touched_by_others boolean not null default false,
  deleted_at timestamptz,
  deleted_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, project_id) references projects,
  foreign key (tenant_id, assignee_id) references principals,
  foreign key (tenant_id, created_by) references principals
);
create index tasks_of_project on tasks (tenant_id, project_id, created_at, id) where deleted_at is null;

create table messages (
  tenant_id uuid not null,
  id uuid not null,
  sender_id uuid not null,
  recipient_id uuid not null,
  text text not null check (length(text) between 1 and 4000),
  sent_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, sender_id) references principals,
  foreign key (tenant_id, recipient_id) references principals
);

create table documents (
  tenant_id uuid not null,
  id uuid not null,
  title text not null check (length(title) between 1 and 200),
  content text not null check (length(content) <= 50000),
  version int not null default 1,
  -- Of this version; the first author stands in the oldest row of document_versions.
  author_id uuid not null,
  deleted_at timestamptz,
  deleted_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, author_id) references principals
);
create index documents_newest on documents (tenant_id, updated_at desc, id) where deleted_at is null;

-- What a document was before it was written over.
create table document_versions (
  tenant_id uuid not null,
  document_id uuid not null,
  version int not null,
  title text not null,
  content text not null,
  author_id uuid not null,
  written_at timestamptz not null,
  primary key (tenant_id, document_id, version),
  foreign key (tenant_id, document_id) references documents
);

-- Not a tenant's: which workers are alive.
create table workers (
  executor_id text primary key,
  beat_at timestamptz not null,
  started_at timestamptz not null default now()
);

-- Row-level security, forced on everything that belongs to a tenant and has none yet: the last line of every migration.
create function protect_tenant_tables() returns void language plpgsql as $$
declare
  t text;
begin
  for t in select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
           where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'tenant_id'
             and not c.relrowsecurity
  loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant_only on %I using (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)
                    with check (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', t);
    execute format('grant select, insert, update, delete on %I to sallyport_app', t);
  end loop;
end $$;
revoke execute on function protect_tenant_tables() from public;
select protect_tenant_tables();
alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenant_only on tenants using (id = nullif(current_setting('app.tenant_id', true), '')::uuid)
  with check (id = nullif(current_setting('app.tenant_id', true), '')::uuid);
grant select, insert, update on tenants to sallyport_app;
grant select, insert, update, delete on workers to sallyport_app;
revoke update, delete on audit_records, audit_blocks, decisions, usage_events from sallyport_app;
revoke delete on runs, steps, tool_calls, approvals, grants, principals from sallyport_app;

-- Any change of people, tokens or tools makes verdicts that were made before it stale.
create function raise_epoch() returns trigger language plpgsql as $$
begin
  update tenants set epoch = epoch + 1 where id = coalesce(new.tenant_id, old.tenant_id);
  return null;
end $$;
create trigger raise_epoch after update or delete on principals for each row execute function raise_epoch();
create trigger raise_epoch after update or delete on access_tokens for each row execute function raise_epoch();
create trigger raise_epoch after insert or update or delete on tool_settings for each row execute function raise_epoch();

-- The journal: every write of a driven run goes through this one function. Writes of several runs of a tenant that come at the
-- same time come together: one round trip, one transaction, each kept or refused by itself.
-- An entry is a place in the arrays p_run to p_events; the rows of the other arrays name theirs, from 1. Columns, rather than
-- documents, which would have to be taken apart. Returns the tenant's epoch, then for each entry 0, 1 where its run is asked to
-- cancel, -1 where the lease is not the run's any more, or -2 where the epoch is not the one in p_epoch (null: any).
create function journal(
  p_tenant uuid,
  p_run uuid[], p_lease int[], p_epoch bigint[], p_step int[], p_cost bigint[], p_active_ms bigint[], p_events int[],
  s_at int[], s_number int[], s_thinking text[], s_text text[], s_calls jsonb[], s_stop text[], s_provider text[],
  s_model text[], s_input int[], s_output int[], s_cache_read int[], s_cache_write int[], s_cost bigint[], s_ms int[],
  s_agent text[], s_prices jsonb[],
  c_at int[], c_id uuid[], c_step int[], c_position int[], c_handle text[], c_requester uuid[], c_via text[], c_agent text[],
  c_tool text[], c_arguments jsonb[],
  u_at int[], u_id uuid[], u_state text[], u_version int[], u_verdict jsonb[], u_preview jsonb[], u_digest text[],
  u_result jsonb[], u_error jsonb[], u_inverse jsonb[], u_attempt int[], u_cost bigint[], u_ms int[],
  t_at int[], t_step int[], t_call uuid[], t_agent text[], t_name text[], t_cost bigint[],
  e_at int[], e_place int[], e_kind text[], e_data jsonb[],
  a_at int[], a_id uuid[], a_time timestamptz[], a_action text[], a_actor text[], a_run uuid[], a_call uuid[], a_tool text[],
  a_content text[], a_digest text[],
  x_at int[], x_status text[], x_result text[], x_code text[], x_message text[], x_lost jsonb[])
returns bigint[] language plpgsql as $$
declare
  v_epoch bigint;
  v_outcomes bigint[];
  v_seq int;
  v_cancel int;
  -- The number of the last event before each entry's; null where the entry is refused.
  v_before int[];
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  select epoch into v_epoch from tenants where id = p_tenant;
  for i in 1 .. cardinality(p_run) loop
    v_seq := null;
    v_cancel := -2;
    if p_epoch[i] is null or p_epoch[i] = v_epoch then
      update runs set
          cost_micros = cost_micros + p_cost[i],
          current_step = coalesce(p_step[i], current_step),
          active_ms = active_ms + p_active_ms[i],
          event_seq = event_seq + p_events[i]
        where tenant_id = p_tenant and id = p_run[i] and lease = p_lease[i] and dispatch = 'driving'
        returning event_seq - p_events[i], cancel_requested::int into v_seq, v_cancel;
      if not found then
        v_cancel := -1;
      end if;
    end if;
    v_before[i] := v_seq;
    v_outcomes[i] := v_cancel;
  end loop;
  -- By place in the arrays: unnesting them would build a table for each.
  if cardinality(s_at) > 0 then
    insert into steps (tenant_id, run_id, number, thinking, text, calls, stop, provider, model, input_tokens,
                       output_tokens, cache_read_tokens, cache_write_tokens, cost_micros, duration_ms)
      select p_tenant, p_run[s_at[n]], s_number[n], s_thinking[n], s_text[n], s_calls[n], s_stop[n], s_provider[n],
             s_model[n], s_input[n], s_output[n], s_cache_read[n], s_cache_write[n], s_cost[n], s_ms[n]
      from generate_series(1, cardinality(s_at)) as n where v_before[s_at[n]] is not null;
    insert into usage_events (tenant_id, run_id, step, kind, agent, name, provider, input_tokens, output_tokens,
                              cache_read_tokens, cache_write_tokens, unit_prices, cost_micros)
      select p_tenant, p_run[s_at[n]], s_number[n], 'model', s_agent[n], s_model[n], s_provider[n], s_input[n], s_output[n],
             s_cache_read[n], s_cache_write[n], s_prices[n], s_cost[n]
      from generate_series(1, cardinality(s_at)) as n where v_before[s_at[n]] is not null;
  end if;
  if cardinality(c_at) > 0 then
    insert into tool_calls (tenant_id, id, run_id, step, position, handle, requester_id, via, agent, tool, arguments, state)
      select p_tenant, c_id[n], p_run[c_at[n]], c_step[n], c_position[n], c_handle[n], c_requester[n], c_via[n], c_agent[n],
             c_tool[n], c_arguments[n], 'requested'
      from generate_series(1, cardinality(c_at)) as n where v_before[c_at[n]] is not null;
  end if;
  -- One by one, each by its whole key: joined to the arrays, the planner may read all calls of the tenant instead.
  for i in 1 .. cardinality(u_at) loop
    if v_before[u_at[i]] is not null then
      update tool_calls set
          state = u_state[i],
          tool_version = coalesce(u_version[i], tool_version),
          verdict = coalesce(u_verdict[i], verdict),
          preview = coalesce(u_preview[i], preview),
          digest = coalesce(u_digest[i], digest),
          result = u_result[i],
          error = u_error[i],
          inverse = u_inverse[i],
          attempts = attempts + u_attempt[i],
          cost_micros = cost_micros + u_cost[i],
          duration_ms = coalesce(u_ms[i], duration_ms),
          started_at = case when u_state[i] = 'running' then now() else started_at end,
          settled_at = case when u_state[i] in ('succeeded', 'failed', 'denied', 'expired', 'cancelled') then now() end
        where tenant_id = p_tenant and id = u_id[i] and run_id = p_run[u_at[i]]
          and state not in ('succeeded', 'failed', 'denied', 'expired', 'cancelled');
    end if;
  end loop;
  if cardinality(t_at) > 0 then
    insert into usage_events (tenant_id, run_id, step, call_id, kind, agent, name, unit_prices, cost_micros)
      select p_tenant, p_run[t_at[n]], t_step[n], t_call[n], 'tool', t_agent[n], t_name[n],
             jsonb_build_object('call', t_cost[n]), t_cost[n]
      from generate_series(1, cardinality(t_at)) as n where v_before[t_at[n]] is not null;
  end if;
  if cardinality(e_at) > 0 then
    insert into run_events (tenant_id, run_id, seq, kind, data)
      select p_tenant, p_run[e_at[n]], v_before[e_at[n]] + e_place[n], e_kind[n], e_data[n]
      from generate_series(1, cardinality(e_at)) as n where v_before[e_at[n]] is not null;
  end if;
  if cardinality(a_at) > 0 then
    insert into audit_records (tenant_id, id, at, action, actor, run_id, call_id, tool, content, digest)
      select p_tenant, a_id[n], a_time[n], a_action[n], a_actor[n], a_run[n], a_call[n], a_tool[n], a_content[n], a_digest[n]
      from generate_series(1, cardinality(a_at)) as n where v_before[a_at[n]] is not null;
  end if;
  for i in 1 .. cardinality(x_at) loop
    if v_before[x_at[i]] is not null then
      perform end_run(p_tenant, p_run[x_at[i]], x_status[i], x_result[i], x_code[i], x_message[i], x_lost[i]);
    end if;
  end loop;
  return v_epoch || v_outcomes;
end $$;

-- A run ends for good, in the transaction of whoever holds its row: questions withdrawn, waiting calls cancelled.
create function end_run(p_tenant uuid, p_run uuid, p_status text, p_result text, p_code text, p_message text, p_lost jsonb)
returns void language plpgsql as $$
begin
  update runs set status = p_status, dispatch = 'ended', driver = null, pause_reason = null, result = p_result,
      error_code = p_code, error_message = p_message, completed_at = now()
    where tenant_id = p_tenant and id = p_run;
  update approvals set state = 'withdrawn', closed_at = now()
    where tenant_id = p_tenant and run_id = p_run and state = 'pending';
  -- Nobody will ask any more what became of one under way; an open one would be joined for ever by its like.
  update tool_calls set
      state = case when state in ('running', 'unknown') then 'failed' else 'cancelled' end,
      error = case when state in ('running', 'unknown') then p_lost else error end,
      settled_at = now()
    where tenant_id = p_tenant and run_id = p_run and state in ('requested', 'pending_approval', 'running', 'unknown');
end $$;

-- A run is started, queued; or the one is returned that it repeats: the client's own key, or the same direct call still open.
-- p_run and p_call hold columns of runs and tool_calls.
create function begin_run(p_tenant uuid, p_run jsonb, p_call jsonb, p_events jsonb, p_audit jsonb)
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
                    client_key, status, dispatch, budget_micros, max_steps, event_seq)
    values (p_tenant, v_run.id, v_run.requester_id, v_run.kind, v_run.agent, v_run.agent_version, v_run.config, v_run.task,
            v_run.via, v_run.scopes, v_run.conversation, v_run.client_key, 'pending', 'queued', v_run.budget_micros,
            v_run.max_steps, jsonb_array_length(p_events));
  if p_call is not null then
    v_call := jsonb_populate_record(null::tool_calls, p_call);
    insert into tool_calls (tenant_id, id, run_id, requester_id, via, tool, arguments, request_digest, undoes, state)
      values (p_tenant, v_call.id, v_run.id, v_call.requester_id, v_call.via, v_call.tool, v_call.arguments,
              v_call.request_digest, v_call.undoes, 'requested');
  end if;
  perform tell(p_tenant, v_run.id, 0, p_events, p_audit);
  return jsonb_build_object('run_id', v_run.id, 'segment', 1, 'joined', false, 'same', true);
end $$;

-- Events behind number p_seq, and audit records, in whoever's transaction.
create function tell(p_tenant uuid, p_run uuid, p_seq int, p_events jsonb, p_audit jsonb)
returns void language plpgsql as $$
begin
  insert into run_events (tenant_id, run_id, seq, kind, data)
    select p_tenant, p_run, p_seq + e.n, e.event->>'kind', e.event->'data'
    from jsonb_array_elements(p_events) with ordinality as e(event, n);
  insert into audit_records (tenant_id, id, at, action, actor, run_id, call_id, tool, content, digest)
    select p_tenant, id, at, action, actor, run_id, call_id, tool, content, digest
    from jsonb_to_recordset(p_audit) as r(id uuid, at timestamptz, action text, actor text, run_id uuid,
         call_id uuid, tool text, content text, digest text);
end $$;

-- The run's lease for p_driver, with all that driving needs; null where the segment is not due any more.
create function take_run(p_tenant uuid, p_run uuid, p_segment int, p_driver text)
returns jsonb language plpgsql as $$
declare
  v_run runs;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  update runs set lease = lease + 1, dispatch = 'driving', driver = p_driver, status = 'running', pause_reason = null,
                  started_at = coalesce(started_at, now())
    where tenant_id = p_tenant and id = p_run and segment = p_segment and dispatch in ('queued', 'driving')
    returning * into v_run;
  if not found then
    return null;
  end if;
  return jsonb_build_object(
    'run', to_jsonb(v_run),
    'tenant', (select to_jsonb(t) from tenants t where t.id = p_tenant),
    'requester', (select to_jsonb(p) from principals p where p.tenant_id = p_tenant and p.id = v_run.requester_id),
    'disabled_tools', coalesce((select jsonb_agg(s.tool) from tool_settings s
                                where s.tenant_id = p_tenant and not s.enabled), '[]'),
    'steps', coalesce((select jsonb_agg(to_jsonb(s) || jsonb_build_object('unit_prices', u.unit_prices) order by s.number)
                       from steps s join usage_events u on u.tenant_id = s.tenant_id and u.run_id = s.run_id
                         and u.step = s.number and u.kind = 'model'
                       where s.tenant_id = p_tenant and s.run_id = p_run), '[]'),
    'calls', coalesce((select jsonb_agg(to_jsonb(c) order by c.step, c.position) from tool_calls c
                       where c.tenant_id = p_tenant and c.run_id = p_run), '[]'));
end $$;

-- A run whose row the caller holds ends for good, told as an event and to the auditor. SP001 where it has ended.
create function finish_run(p_tenant uuid, p_run uuid, p_status text, p_result text, p_code text, p_message text, p_lost jsonb,
                           p_events jsonb, p_audit jsonb)
returns void language plpgsql as $$
declare
  v_seq int;
begin
  update runs set event_seq = event_seq + jsonb_array_length(p_events)
    where tenant_id = p_tenant and id = p_run and dispatch <> 'ended'
    returning event_seq - jsonb_array_length(p_events) into v_seq;
  if not found then
    raise exception 'lease lost' using errcode = 'SP001';
  end if;
  perform end_run(p_tenant, p_run, p_status, p_result, p_code, p_message, p_lost);
  perform tell(p_tenant, p_run, v_seq, p_events, p_audit);
end $$;

-- A safe call straight from a front door: checked against the epoch it was judged under, metered, recorded; one commit.
-- Plain arguments rather than documents: taking those apart costs a tenth of the whole.
create function record_call(p_tenant uuid, p_epoch bigint, p_id uuid, p_requester uuid, p_via text, p_tool text, p_version int,
                            p_arguments jsonb, p_state text, p_verdict jsonb, p_result jsonb, p_error jsonb, p_cost bigint,
                            p_ms int, p_audit uuid, p_at timestamptz, p_action text, p_actor text, p_content text, p_digest text)
returns void language plpgsql as $$
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  if not exists (select 1 from tenants where id = p_tenant and epoch = p_epoch) then
    raise exception 'stale epoch' using errcode = 'SP002';
  end if;
  insert into tool_calls (tenant_id, id, requester_id, via, tool, tool_version, arguments, state, verdict, result, error,
                          cost_micros, duration_ms, attempts, settled_at)
    values (p_tenant, p_id, p_requester, p_via, p_tool, p_version, p_arguments, p_state, p_verdict, p_result, p_error,
            p_cost, p_ms, 1, now());
  if p_cost > 0 then
    insert into usage_events (tenant_id, call_id, kind, agent, name, unit_prices, cost_micros)
      values (p_tenant, p_id, 'tool', '', p_tool, jsonb_build_object('call', p_cost), p_cost);
  end if;
  insert into audit_records (tenant_id, id, at, action, actor, call_id, tool, content, digest)
    values (p_tenant, p_audit, p_at, p_action, p_actor, p_id, p_tool, p_content, p_digest);
end $$;

-- The projects that a person sees, by name, in one round trip; p_all where the person sees every one.
create function list_projects(p_tenant uuid, p_principal uuid, p_all boolean, p_after_name text, p_after_id uuid, p_limit int)
returns jsonb language plpgsql as $$
declare
  v_everybody bigint;
  v_projects jsonb;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  select count(*) into v_everybody from principals where tenant_id = p_tenant and disabled_at is null;
  select jsonb_agg(jsonb_build_object('id', id, 'name', name, 'status', status, 'member_count', member_count) order by name, id)
    into v_projects
    from (
      select p.id, p.name, p.status,
             case when p.open_to_all then v_everybody else (
               select count(*) from project_members m join principals w on w.tenant_id = m.tenant_id and w.id = m.principal_id
               where m.tenant_id = p_tenant and m.project_id = p.id and w.disabled_at is null) end as member_count
      from projects p
      where p.tenant_id = p_tenant
        and (p_after_name is null or (p.name, p.id) > (p_after_name, p_after_id))
        and (p_all or p.open_to_all or exists (
          select 1 from project_members m
          where m.tenant_id = p_tenant and m.project_id = p.id and m.principal_id = p_principal))
      order by p.name, p.id
      limit least(p_limit, 1000)) seen;
  return coalesce(v_projects, '[]');
end $$;

-- The directory: the only look-ups across tenants, on routing columns only.
grant select (id, name, tier, created_at) on tenants to sallyport_directory;
grant select (tenant_id, id, token_hash, audience, expires_at, revoked_at) on access_tokens to sallyport_directory;
grant select (tenant_id, id, segment, dispatch, queued_at, driver) on runs to sallyport_directory;
grant select (tenant_id, id, run_id, state, expires_at) on approvals to sallyport_directory;
grant select (tenant_id, xact) on audit_records to sallyport_directory;
grant select (tenant_id, number, upto_xact) on audit_blocks to sallyport_directory;
grant select on workers to sallyport_directory;
create policy directory_reads on tenants for select to sallyport_directory using (true);
create policy directory_reads on access_tokens for select to sallyport_directory using (true);
create policy directory_reads on runs for select to sallyport_directory using (true);
create policy directory_reads on approvals for select to sallyport_directory using (true);
create policy directory_reads on audit_records for select to sallyport_directory using (true);
create policy directory_reads on audit_blocks for select to sallyport_directory using (true);
grant create, usage on schema public to sallyport_directory;
set role sallyport_directory;

create function directory_tenants(p_after text, p_limit int)
  returns table (id uuid, name text, tier text, created_at timestamptz)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select t.id, t.name, t.tier, t.created_at from tenants t
  where t.name > coalesce(p_after, '') order by t.name limit least(p_limit, 1000)
$$;

create function directory_tenant(p_name text) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select t.id from tenants t where t.name = p_name
$$;

create function directory_token(p_hash bytea) returns table (tenant_id uuid, token_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select t.tenant_id, t.id from access_tokens t where t.token_hash = p_hash
$$;

-- Segments that nobody drives: queued for longer than p_queued_seconds, or driven by a worker without a fresh heartbeat.
create function directory_due_segments(p_queued_seconds float, p_stale_seconds float, p_limit int)
  returns table (tenant_id uuid, run_id uuid, segment int, abandoned boolean)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  (select r.tenant_id, r.id, r.segment, false from runs r
   where r.dispatch = 'queued' and r.queued_at < now() - make_interval(secs => p_queued_seconds)
   order by r.queued_at limit least(p_limit, 1000))
  union all
  (select r.tenant_id, r.id, r.segment, true from runs r
   where r.dispatch = 'driving' and not exists (
     select 1 from workers w
     where w.executor_id = r.driver and w.beat_at > now() - make_interval(secs => p_stale_seconds))
   limit least(p_limit, 1000))
$$;

-- What a worker is said to drive: it compares that with what it does drive.
create function directory_driven_by(p_driver text, p_limit int)
  returns table (tenant_id uuid, run_id uuid, segment int)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select r.tenant_id, r.id, r.segment from runs r
  where r.dispatch = 'driving' and r.driver = p_driver limit least(p_limit, 1000)
$$;

create function directory_due_approvals(p_now timestamptz, p_limit int)
  returns table (tenant_id uuid, approval_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select a.tenant_id, a.id from approvals a
  where a.state = 'pending' and a.expires_at <= p_now order by a.expires_at limit least(p_limit, 1000)
$$;

-- Tenants with records that are complete (older than every transaction under way) and in no block yet.
create function directory_unsealed(p_limit int) returns setof uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select t.id from tenants t
  where exists (
    select 1 from audit_records r
    where r.tenant_id = t.id and r.xact < pg_snapshot_xmin(pg_current_snapshot())
      and r.xact >= coalesce((select b.upto_xact from audit_blocks b where b.tenant_id = t.id
                              order by b.number desc limit 1), '0'::xid8))
  limit least(p_limit, 1000)
$$;

reset role;
set role sallyport_owner;
revoke create on schema public from sallyport_directory;
