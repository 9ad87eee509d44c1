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
grant update (signs_until, verifies_until) on signing_keys to sallyport_app;

select protect_tenant_tables();
