-- Why JSONB cannot hold a text, or null where it can: finds the rows that a COPY was refused for.
create function raw.jsonb_fault(payload text) returns text
language plpgsql as $$
begin
    perform payload::jsonb;
    return null;
exception
    when data_exception then
        return sqlerrm;
end
$$;
