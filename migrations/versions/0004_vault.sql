-- The vault: credentials of tenants and people.
select protect_tenant_tables();
