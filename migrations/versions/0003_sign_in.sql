-- Sign-in: sessions, one-time links, identity providers.

-- A browser's session. Its form token is derived from the secret, so that nothing here opens anything.
create table sessions (
  tenant_id uuid not null,
  id uuid not null,
  secret_hash bytea not null unique,
  principal_id uuid not null,
  how text not null check (how in ('link', 'provider')),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references principals
);
create index sessions_of_person on sessions (tenant_id, principal_id, expires_at);

create table one_time_links (
  tenant_id uuid not null,
  id uuid not null,
  link_hash bytea not null unique,
  principal_id uuid not null,
  return_to text not null check (length(return_to) <= 8192),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references principals
);
create index one_time_links_by_end on one_time_links (tenant_id, expires_at);

-- The OpenID Connect provider whose word on its people a tenant takes; the client secret is in the vault.
create table identity_providers (
  tenant_id uuid primary key references tenants,
  issuer text not null,
  client_id text not null,
  credential_ref uuid,
  email_domains text[] not null check (cardinality(email_domains) between 1 and 100),
  group_roles jsonb not null default '{}',
  groups_claim text not null default 'groups',
  creates_people boolean not null default true,
  trusts_email boolean not null default false,
  direct_audience text,
  changed_at timestamptz not null default now()
);
create index identity_providers_by_domain on identity_providers using gin (email_domains);
-- A token of the provider's own must say by itself whose it is.
create unique index identity_providers_direct on identity_providers (issuer, direct_audience)
  where direct_audience is not null;

-- A sign-in on its way to the provider and back: bound to one browser, taken once.
create table sign_in_states (
  tenant_id uuid not null references tenants,
  state_hash bytea not null,
  browser_hash bytea not null,
  issuer text not null,
  nonce text not null,
  verifier text not null,
  return_to text not null check (length(return_to) <= 8192),
  expires_at timestamptz not null,
  primary key (tenant_id, state_hash)
);
create index sign_in_states_by_end on sign_in_states (tenant_id, expires_at);

-- One person per account of a surface is the primary key's; this finds the accounts of a person.
create index identity_links_of_person on identity_links (tenant_id, principal_id, surface);

-- What a direct token is worth hangs on the provider: verdicts made before a change are stale.
create trigger raise_epoch after insert or update or delete on identity_providers
  for each row execute function raise_epoch();

grant select (tenant_id, id, secret_hash) on sessions to sallyport_directory;
grant select (tenant_id, id, link_hash) on one_time_links to sallyport_directory;
grant select (tenant_id, email_domains, issuer, direct_audience) on identity_providers to sallyport_directory;
create policy directory_reads on sessions for select to sallyport_directory using (true);
create policy directory_reads on one_time_links for select to sallyport_directory using (true);
create policy directory_reads on identity_providers for select to sallyport_directory using (true);
grant create, usage on schema public to sallyport_directory;
set role sallyport_directory;

create function directory_session(p_hash bytea) returns table (tenant_id uuid, session_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select s.tenant_id, s.id from sessions s where s.secret_hash = p_hash
$$;

create function directory_link(p_hash bytea) returns table (tenant_id uuid, link_id uuid)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select l.tenant_id, l.id from one_time_links l where l.link_hash = p_hash
$$;

-- Whose people have addresses in this domain; more than one tenant, and the person must say which.
create function directory_tenants_of_domain(p_domain text) returns setof uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select p.tenant_id from identity_providers p where p.email_domains @> array[p_domain]
  order by p.tenant_id limit 2
$$;

create function directory_tenant_of_issuer(p_issuer text, p_audience text) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select p.tenant_id from identity_providers p where p.issuer = p_issuer and p.direct_audience = p_audience
$$;

reset role;
set role sallyport_owner;
revoke create on schema public from sallyport_directory;

select protect_tenant_tables();
