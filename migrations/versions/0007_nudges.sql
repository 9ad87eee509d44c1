-- Nudges between processes: a tenant's id and what of it has changed, never more, as any login may listen.
-- For tables that people and operators change by hand: whoever notifies waits for the commit of everybody else who does.
create function nudge() returns trigger language plpgsql as $$
begin
  perform pg_notify('sallyport_nudges', coalesce(new.tenant_id, old.tenant_id)::text || ' ' || tg_argv[0]);
  return null;
end $$;
create trigger nudge after insert or update or delete on tool_settings for each row execute function nudge('tools');
-- As with the epoch: a tool that nobody has accepted changes nothing for anybody.
create trigger nudge after update on upstream_tools for each row
  when (old.state <> 'new' or new.state <> 'new') execute function nudge('tools');
create trigger nudge_of_deleted after delete on upstream_tools for each row
  when (old.state <> 'new') execute function nudge('tools');
-- Roles and groups decide which tools somebody may use.
create trigger nudge after update of roles, groups, disabled_at on principals for each row execute function nudge('tools');
select protect_tenant_tables();
