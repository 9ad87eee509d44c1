-- The authorization server: clients, codes, refresh tokens, signing keys.
select protect_tenant_tables();
