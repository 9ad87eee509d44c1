-- Sign-in: sessions, one-time links, identity providers.
select protect_tenant_tables();
