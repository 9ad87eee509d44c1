-- Chat surfaces: workspaces, what arrives, what is delivered, and how far it was told.

-- Where a surface is installed; of one tenant. Slack: a team, or the enterprise of an org-wide install.
create table chat_workspaces (
  tenant_id uuid not null references tenants,
  surface text not null check (surface in ('slack', 'teams')),
  workspace text not null check (length(workspace) between 1 and 200),
  name text not null,
  app text not null,
  bot_user text not null,
  scopes text[] not null,
  -- Access and refresh token as one JSON text, sealed; null once the workspace is left.
  sealed bytea,
  token_expires_at timestamptz,
  -- One process at a time renews the token: a refresh token is worth something once.
  renewed_until timestamptz,
  state text not null check (state in ('active', 'uninstalled', 'token_revoked')),
  -- Where questions are put: a channel of the workspace; null: to each eligible person by themselves.
  approvals_channel text,
  installed_by uuid not null,
  -- An admin of the tenant trusts the workspace's word on its people's email addresses.
  links_by_email boolean not null default false,
  installed_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  -- One process at a time delivers to a workspace, so that limits hold across processes.
  deliverer text,
  delivers_until timestamptz,
  primary key (tenant_id, surface, workspace),
  foreign key (tenant_id, installed_by) references principals
);
create unique index chat_workspaces_once on chat_workspaces (surface, workspace);

-- An installation on its way to the platform and back: bound to one browser and one signed-in admin, taken once.
create table chat_install_states (
  tenant_id uuid not null,
  state_hash bytea not null,
  browser_hash bytea not null,
  surface text not null,
  principal_id uuid not null,
  expires_at timestamptz not null,
  primary key (tenant_id, state_hash),
  foreign key (tenant_id, principal_id) references principals
);

-- A person's way from their account on a surface to a page where they sign in and say that it is theirs.
create table chat_link_offers (
  tenant_id uuid not null references tenants,
  offer_hash bytea not null,
  surface text not null,
  workspace text not null,
  external_user text not null,
  shown_name text not null,
  -- What the workspace knows as the account's address: where somebody here has it, it is theirs to link.
  email text,
  expires_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, offer_hash)
);

-- What arrives: a row before the platform is answered, one per thing that happened there.
alter table inbox
  add column workspace text not null,
  add column conversation text not null,
  -- Order within the conversation, as the platform says it: its time stamps are texts of one length.
  add column position text not null,
  -- Somebody waits at a screen: before what can wait.
  add column urgent boolean not null default false,
  add column attempts int not null default 0,
  add column due_at timestamptz not null default now(),
  add column claimed_until timestamptz,
  add column error text;
create index inbox_due on inbox (due_at) where handled_at is null;
create index inbox_waiting on inbox (tenant_id, surface, workspace, conversation, position) where handled_at is null;

-- What is to be delivered: the newest wish for what one message (key) should be in the end.
alter table outbox
  add column workspace text not null,
  add column key text not null,
  -- Rises with every newer wish, so that what was sent of an older one is not taken for this one.
  add column version int not null default 1,
  add column kind text not null check (kind in ('approval', 'final', 'error', 'progress', 'private', 'home')),
  add column state text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
  add column error text,
  add column created_at timestamptz not null default now();
drop index outbox_due;
create index outbox_waiting on outbox (tenant_id, surface, workspace, due_at) where state = 'waiting';
create index outbox_dead on outbox (tenant_id, created_at) where state = 'dead';
-- One wish at a time for a message: a newer one takes its place before it is sent.
create unique index outbox_newest on outbox (tenant_id, surface, workspace, key) where state = 'waiting';

-- What a surface holds of ours: where a message is, and what of it the platform has taken.
create table chat_messages (
  tenant_id uuid not null,
  surface text not null,
  workspace text not null,
  key text not null,
  sent jsonb not null,
  changed_at timestamptz not null default now(),
  primary key (tenant_id, surface, workspace, key)
);

-- A run that somebody follows on a surface: who asked, where, and up to which event it was told.
create table chat_runs (
  tenant_id uuid not null,
  run_id uuid not null,
  surface text not null,
  workspace text not null,
  address text not null,
  asker text not null,
  told_seq int not null default 0,
  told_text int not null default 0,
  ended boolean not null default false,
  primary key (tenant_id, run_id),
  foreign key (tenant_id, run_id) references runs
);
create index chat_runs_open on chat_runs (tenant_id, run_id) where not ended;
create index chat_runs_at on chat_runs (tenant_id, surface, workspace, address);

-- Questions that have changed since surfaces were told; a change while they are told leaves the row, newer.
create table chat_news (
  tenant_id uuid not null,
  approval_id uuid not null,
  version bigint not null default 1,
  since timestamptz not null default now(),
  primary key (tenant_id, approval_id)
);

-- Where a question was put on a surface.
create table chat_questions (
  tenant_id uuid not null,
  approval_id uuid not null,
  surface text not null,
  workspace text not null,
  address text not null,
  decides boolean not null,
  primary key (tenant_id, approval_id, surface, workspace, address),
  foreign key (tenant_id, approval_id) references approvals
);

create function chat_news() returns trigger language plpgsql as $$
begin
  if exists (select from chat_workspaces w where w.tenant_id = new.tenant_id and w.state = 'active') then
    insert into chat_news (tenant_id, approval_id)
      values (new.tenant_id, case tg_table_name when 'decisions' then (to_jsonb(new) ->> 'approval_id')::uuid
                             else (to_jsonb(new) ->> 'id')::uuid end)
      on conflict (tenant_id, approval_id) do update set version = chat_news.version + 1;
  end if;
  return null;
end $$;
create trigger chat_news after insert or update on approvals for each row execute function chat_news();
create trigger chat_news after insert on decisions for each row execute function chat_news();

alter table identity_links
  add column email text,
  add column how text not null default 'page' check (how in ('page', 'domain', 'operator', 'provider')),
  -- An account that was somebody's once is linked by no email again: only by its person, or an operator.
  add column unlinked_at timestamptz;

grant select (tenant_id, surface, workspace, state) on chat_workspaces to sallyport_directory;
grant select (tenant_id, id, due_at, handled_at, claimed_until) on inbox to sallyport_directory;
grant select (tenant_id, state_hash) on chat_install_states to sallyport_directory;
grant select (tenant_id, offer_hash) on chat_link_offers to sallyport_directory;
grant select (tenant_id, surface, workspace, due_at, state) on outbox to sallyport_directory;
grant select (tenant_id, run_id, surface, told_seq, told_text, ended) on chat_runs to sallyport_directory;
grant select (tenant_id, approval_id, since) on chat_news to sallyport_directory;
grant select (tenant_id, id, event_seq) on runs to sallyport_directory;
grant select (tenant_id, run_id, step, seq) on run_text to sallyport_directory;
create policy directory_reads on outbox for select to sallyport_directory using (true);
create policy directory_reads on chat_runs for select to sallyport_directory using (true);
create policy directory_reads on chat_news for select to sallyport_directory using (true);
create policy directory_reads on run_text for select to sallyport_directory using (true);
create policy directory_reads on chat_workspaces for select to sallyport_directory using (true);
create policy directory_reads on inbox for select to sallyport_directory using (true);
create policy directory_reads on chat_install_states for select to sallyport_directory using (true);
create policy directory_reads on chat_link_offers for select to sallyport_directory using (true);
grant create, usage on schema public to sallyport_directory;
set role sallyport_directory;

create function directory_workspace(p_surface text, p_workspace text) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select w.tenant_id from chat_workspaces w where w.surface = p_surface and w.workspace = p_workspace
$$;

create function directory_outbox_due(p_surface text, p_at timestamptz, p_limit int)
  returns table (tenant_id uuid, workspace text)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select distinct o.tenant_id, o.workspace from outbox o
  where o.surface = p_surface and o.state = 'waiting' and o.due_at <= p_at limit least(p_limit, 1000)
$$;

create function directory_chat_runs_due(p_surface text, p_limit int) returns table (tenant_id uuid, run_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select c.tenant_id, c.run_id from chat_runs c
  join runs r on r.tenant_id = c.tenant_id and r.id = c.run_id
  where c.surface = p_surface and not c.ended
    and (r.event_seq > c.told_seq
         or coalesce((select t.step * 100000 + t.seq from run_text t
                      where t.tenant_id = c.tenant_id and t.run_id = c.run_id
                      order by t.step desc, t.seq desc limit 1), 0) > c.told_text)
  limit least(p_limit, 1000)
$$;

create function directory_chat_news(p_limit int) returns table (tenant_id uuid, approval_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select n.tenant_id, n.approval_id from chat_news n order by n.since limit least(p_limit, 1000)
$$;

create function directory_inbox_due(p_at timestamptz, p_limit int) returns table (tenant_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select distinct i.tenant_id from
    (select tenant_id, claimed_until from inbox
     where handled_at is null and due_at <= p_at order by due_at limit least(p_limit, 1000)) i
  where i.claimed_until is null or i.claimed_until <= p_at
$$;

create function directory_install_state(p_hash bytea) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select s.tenant_id from chat_install_states s where s.state_hash = p_hash
$$;

create function directory_link_offer(p_hash bytea) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select o.tenant_id from chat_link_offers o where o.offer_hash = p_hash
$$;

reset role;
set role sallyport_owner;
revoke create on schema public from sallyport_directory;

select protect_tenant_tables();

-- The hot way in: one round trip, one row, one commit, before the platform is answered.
create function take_arrival(p_tenant uuid, p_id uuid, p_surface text, p_workspace text, p_conversation text,
                             p_position text, p_external_id text, p_urgent boolean, p_payload jsonb)
  returns boolean language plpgsql as $$
declare
  v_id uuid;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  insert into inbox (tenant_id, id, surface, workspace, conversation, position, external_id, urgent, payload)
    values (p_tenant, p_id, p_surface, p_workspace, p_conversation, p_position, p_external_id, p_urgent, p_payload)
    on conflict (tenant_id, surface, external_id) do nothing
    returning id into v_id;
  return v_id is not null;
end $$;
