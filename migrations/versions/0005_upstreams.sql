-- Upstream MCP servers and their pinned tools.

-- That a tenant uses a server that the operator allows. revision rises when it is connected anew, with another credential.
create table upstreams (
  tenant_id uuid not null references tenants,
  name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,23}$'),
  credential uuid,
  revision int not null default 1,
  connected_by text not null,
  connected_at timestamptz not null default now(),
  primary key (tenant_id, name)
);

-- accepted is what may be called, seen what the server said last where that is something else. A fault keeps a tool from being
-- accepted. version rises with whatever an approval or a grant must not outlive.
create table upstream_tools (
  tenant_id uuid not null,
  name text not null check (length(name) between 1 and 64),
  upstream text not null,
  state text not null check (state in ('new', 'accepted', 'held', 'gone')),
  accepted jsonb,
  accepted_digest text,
  seen jsonb,
  seen_digest text,
  fault text,
  risk text not null default 'destructive' check (risk in ('safe', 'cautious', 'destructive', 'irreversible')),
  approver text not null default 'approver' check (approver in ('approver', 'admin')),
  needed int not null default 1 check (needed between 1 and 10),
  idempotent boolean not null default false,
  timeout_seconds int not null default 30 check (timeout_seconds between 1 and 300),
  version int not null default 1,
  accepted_by text,
  accepted_at timestamptz,
  primary key (tenant_id, name),
  foreign key (tenant_id, upstream) references upstreams on delete cascade,
  check ((accepted is null) = (accepted_digest is null)),
  check ((state = 'new') = (accepted is null)),
  check ((seen is null) = (seen_digest is null))
);
create index upstream_tools_of_upstream on upstream_tools (tenant_id, upstream, name);

-- A tool that nobody has accepted changes nothing for anybody.
create trigger raise_epoch after update on upstream_tools for each row
  when (old.state <> 'new' or new.state <> 'new') execute function raise_epoch();
create trigger raise_epoch_of_deleted after delete on upstream_tools for each row
  when (old.state <> 'new') execute function raise_epoch();

-- As in 0001, with the tools that the tenant's admins have accepted.
create or replace function take_run(p_tenant uuid, p_run uuid, p_segment int, p_driver text)
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
    'upstream_tools', coalesce((select jsonb_agg(to_jsonb(u) - 'seen') from upstream_tools u
                                where u.tenant_id = p_tenant and u.state <> 'new'), '[]'),
    'steps', coalesce((select jsonb_agg(to_jsonb(s) || jsonb_build_object('unit_prices', u.unit_prices) order by s.number)
                       from steps s join usage_events u on u.tenant_id = s.tenant_id and u.run_id = s.run_id
                         and u.step = s.number and u.kind = 'model'
                       where s.tenant_id = p_tenant and s.run_id = p_run), '[]'),
    'calls', coalesce((select jsonb_agg(to_jsonb(c) order by c.step, c.position) from tool_calls c
                       where c.tenant_id = p_tenant and c.run_id = p_run), '[]'));
end $$;

select protect_tenant_tables();
