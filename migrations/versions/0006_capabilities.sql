-- Delegation and capability tokens.
select protect_tenant_tables();
