-- Why: annotations and audit entries are only ever added; the database itself refuses the rest.

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$;
create trigger annotation_append_only before update or delete or truncate on annotation
for each statement execute function refuse_change();
create trigger audit_append_only before update or delete or truncate on audit
for each statement execute function refuse_change();

-- Why: a batch of rows travels as one JSON array of arrays, and SQLite reads it with json_each(text); with the same
-- function here one statement serves both. PostgreSQL's own json_each takes json, so the two do not meet.
create function json_each(batch text) returns table (key bigint, value jsonb)
language sql immutable parallel safe as $$
    select row_number - 1, row_value
    from jsonb_array_elements(batch::jsonb) with ordinality as element (row_value, row_number)
$$;
