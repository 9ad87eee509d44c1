-- Nudges between processes.
select protect_tenant_tables();
