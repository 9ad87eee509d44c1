-- Upstream MCP servers and their pinned tools.
select protect_tenant_tables();
