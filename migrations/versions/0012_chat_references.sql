-- Where a conversation is reached: Teams says so with whatever comes from there, and wants it with whatever goes there.
create table chat_references (
  tenant_id uuid not null references tenants,
  surface text not null check (surface in ('slack', 'teams')),
  workspace text not null,
  address text not null,
  conversation text not null,
  service_url text not null,
  -- The surface's own id of whoever's chat with the agent this is; empty for any other.
  mri text not null,
  seen_at timestamptz not null,
  primary key (tenant_id, surface, workspace, address)
);
create index chat_references_newest on chat_references (tenant_id, surface, workspace, seen_at desc);

-- Arrivals are taken in bulk (0011), and offers looked for within a tenant: nobody calls these any more.
drop function take_arrival(uuid, uuid, text, text, text, text, text, boolean, jsonb);
set role sallyport_directory;
drop function directory_link_offer(bytea);
reset role;
set role sallyport_owner;
drop policy directory_reads on chat_link_offers;
revoke select (tenant_id, offer_hash) on chat_link_offers from sallyport_directory;

select protect_tenant_tables();
