-- Tools of upstream servers that act as the person, by a token that Entra gives for theirs.

-- Where there is a scope, each call carries its person's own token of it, and the company's credential only looks.
alter table upstreams add column entra_scope text check (length(entra_scope) between 1 and 300);

-- What somebody has let the agent do as them ends with the account in Teams by which they let it, and when they are disabled.
create function end_acting() returns trigger language plpgsql as $$
begin
  delete from credentials
    where tenant_id = old.tenant_id and owner_id = case tg_table_name
      when 'principals' then (to_jsonb(old) ->> 'id')::uuid else (to_jsonb(old) ->> 'principal_id')::uuid end
      and name like 'sallyport/entra/%';
  return null;
end $$;

create trigger end_acting after update of unlinked_at, principal_id on identity_links for each row
  when (old.surface = 'teams' and (new.unlinked_at is not null or new.principal_id <> old.principal_id)) execute function end_acting();
create trigger end_acting_of_deleted after delete on identity_links for each row
  when (old.surface = 'teams') execute function end_acting();
create function end_acting_at() returns trigger language plpgsql as $$
begin
  delete from credentials where tenant_id = old.tenant_id and name = 'sallyport/entra/' || old.name;
  return null;
end $$;

create trigger end_acting_at after update of entra_scope on upstreams for each row
  when (new.entra_scope is distinct from old.entra_scope) execute function end_acting_at();
create trigger end_acting_at_deleted after delete on upstreams for each row execute function end_acting_at();
create trigger end_acting after update of disabled_at on principals for each row
  when (old.disabled_at is null and new.disabled_at is not null) execute function end_acting();
