-- The authorization server: clients, requests under way, consents, codes, families of refresh tokens.

-- Clients that have registered themselves, whoever they are: of no tenant, and nothing of any tenant in here.
create table oauth_clients (
  id text primary key,
  name text not null check (length(name) between 1 and 100),
  redirect_uris text[] not null check (cardinality(redirect_uris) between 1 and 10),
  auth_method text not null check (auth_method in ('none', 'client_secret_basic', 'client_secret_post')),
  secret_hash bytea,
  created_at timestamptz not null,
  -- When it last got a token; null for one that never has.
  used_at timestamptz,
  check ((auth_method = 'none') = (secret_hash is null))
);
create index oauth_clients_unused on oauth_clients (created_at) where used_at is null;
create index oauth_clients_used on oauth_clients (used_at) where used_at is not null;

-- What a client has asked for and nobody has answered yet. Whose answer it will be is not known: there is no tenant in here, only
-- the digest of the browser session that was shown the question.
create table oauth_requests (
  handle_hash bytea primary key,
  client_id text not null,
  client_name text not null,
  redirect_uri text not null,
  state text,
  challenge text not null,
  resource text not null,
  scopes text[] not null,
  asks_anew boolean not null,
  session_hash bytea,
  expires_at timestamptz not null
);
create index oauth_requests_expired on oauth_requests (expires_at);

create table oauth_consents (
  tenant_id uuid not null,
  principal_id uuid not null,
  client_id text not null,
  redirect_host text not null,
  scopes text[] not null,
  given_at timestamptz not null,
  primary key (tenant_id, principal_id, client_id, redirect_host),
  foreign key (tenant_id, principal_id) references principals
);

create table oauth_codes (
  tenant_id uuid not null,
  code_hash bytea not null unique,
  principal_id uuid not null,
  client_id text not null,
  redirect_uri text not null,
  challenge text not null,
  resource text not null,
  scopes text[] not null,
  -- The family that the code begins once it is redeemed; known before, so that a replay that comes in between can end it.
  family_id uuid not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  replayed_at timestamptz,
  primary key (tenant_id, code_hash),
  foreign key (tenant_id, principal_id) references principals
);
create index oauth_codes_expired on oauth_codes (tenant_id, expires_at);

-- All that one sign-in has led to: it ends as a whole.
create table oauth_families (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  client_id text not null,
  resource text not null,
  scopes text[] not null,
  created_at timestamptz not null,
  ends_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references principals
);
create index oauth_families_ended on oauth_families (tenant_id, ends_at);

create table oauth_refresh_tokens (
  tenant_id uuid not null,
  token_hash bytea not null unique,
  family_id uuid not null,
  -- The access token that came with it.
  access_token_id uuid not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, token_hash),
  foreign key (tenant_id, family_id) references oauth_families on delete cascade
);
create index oauth_refresh_tokens_of_family on oauth_refresh_tokens (tenant_id, family_id);
create index oauth_refresh_tokens_of_access_token on oauth_refresh_tokens (tenant_id, access_token_id);

-- Access tokens of ten minutes are swept away by the hundred. Deleting one that has expired changes nothing for anybody.
create index access_tokens_expired on access_tokens (tenant_id, expires_at);
drop trigger raise_epoch on access_tokens;
create trigger raise_epoch after update on access_tokens for each row execute function raise_epoch();
create trigger raise_epoch_of_deleted after delete on access_tokens for each row
  when (old.revoked_at is null and old.expires_at > now()) execute function raise_epoch();

grant select, insert, update, delete on oauth_clients, oauth_requests to sallyport_app;

-- Whose a code or a refresh token is: its tenant, and nothing more.
grant select (tenant_id, code_hash) on oauth_codes to sallyport_directory;
grant select (tenant_id, token_hash) on oauth_refresh_tokens to sallyport_directory;
create policy directory_reads on oauth_codes for select to sallyport_directory using (true);
create policy directory_reads on oauth_refresh_tokens for select to sallyport_directory using (true);
grant create, usage on schema public to sallyport_directory;
set role sallyport_directory;

create function directory_oauth_code(p_hash bytea) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select c.tenant_id from oauth_codes c where c.code_hash = p_hash
$$;

create function directory_oauth_refresh_token(p_hash bytea) returns uuid
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select t.tenant_id from oauth_refresh_tokens t where t.token_hash = p_hash
$$;

reset role;
set role sallyport_owner;
revoke create on schema public from sallyport_directory;
select protect_tenant_tables();
