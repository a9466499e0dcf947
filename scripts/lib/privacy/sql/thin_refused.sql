-- What was refused so many days ago stays as a count: an equal text for equal ones is left of it.
update raw.rejected_events
set
    payload = 'erased ' || encode(secret.identity_hash('refused', payload), 'hex'),
    put_away_at = coalesce(put_away_at, resent_at, now())
where
    received_at < now() - make_interval(days => %(days)s)
    and payload not like 'erased %%'
