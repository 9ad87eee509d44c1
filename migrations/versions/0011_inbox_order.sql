-- What is claimed first: without it every claim sorts all that waits.
create index inbox_next on inbox (tenant_id, surface, urgent desc, received_at) where handled_at is null;
