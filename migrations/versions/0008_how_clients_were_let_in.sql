-- How the person had signed in who let a client in: what a provider has vouched for ends with the provider.
-- Null where a process of before has written it: nobody knows, and it ends as well.
alter table oauth_codes add column how text check (how in ('link', 'provider'));
alter table oauth_families add column how text check (how in ('link', 'provider'));
