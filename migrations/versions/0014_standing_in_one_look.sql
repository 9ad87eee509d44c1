-- How somebody stands now, in one round trip: asked before each governed call. Null where they are gone or disabled.

create function standing_of(p_tenant uuid, p_principal uuid) returns jsonb language plpgsql as $$
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  -- One statement, so that all of it is of one moment.
  return (
    select jsonb_build_object(
      'tenant', to_jsonb(t),
      'principal', to_jsonb(p),
      'disabled_tools', coalesce((select jsonb_agg(s.tool)
                                  from (select tool from tool_settings
                                        where tenant_id = p_tenant and not enabled order by tool limit 1000) s), '[]'),
      'upstream_tools', coalesce((select jsonb_agg(to_jsonb(u))
                                  from (select name, upstream, state, accepted, accepted_digest, risk, approver, needed,
                                               idempotent, timeout_seconds, version
                                        from upstream_tools
                                        where tenant_id = p_tenant and state <> 'new' order by name limit 1000) u), '[]'))
    from tenants t join principals p on p.tenant_id = t.id
    where t.id = p_tenant and p.id = p_principal and p.disabled_at is null);
end $$;
