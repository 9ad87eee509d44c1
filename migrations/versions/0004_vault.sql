-- The vault: credentials of tenants and people, sealed under keys that the database never sees.

create table credentials (
  tenant_id uuid not null references tenants,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  owner_id uuid,
  sealed bytea not null,
  key_id text not null,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  primary key (tenant_id, id),
  -- One of that name for the whole company, and one for each of its people.
  unique nulls not distinct (tenant_id, name, owner_id),
  foreign key (tenant_id, owner_id) references principals
);

select protect_tenant_tables();
