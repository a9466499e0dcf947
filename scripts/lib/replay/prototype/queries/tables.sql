-- What the prototype has, copied beside the marts for the time of the comparison.
create temporary table prototype_users (
    user_id text primary key,
    fico_score integer not null,
    created_at timestamptz not null
);

-- `number` is the one number that the prototype takes from the activity of such an event.
create temporary table prototype_events (
    event_id text primary key,
    event_number bigint not null,
    user_id text not null,
    event_type text not null,
    created_at timestamptz not null,
    number jsonb
);

create temporary table prototype_conversions (
    event_id text primary key,
    user_id text not null,
    product text not null,
    amount_cents numeric not null,
    converted_at timestamptz not null
);

create temporary table prototype_task_completions (
    event_id text primary key,
    user_id text not null,
    task_id text not null,
    task_name text not null,
    duration_ms numeric not null,
    completed_at timestamptz not null
);

create temporary table prototype_credit_profiles (
    user_id text primary key,
    fico_score numeric not null,
    score_band text not null,
    tasks_completed bigint not null,
    conversions bigint not null,
    total_cents numeric not null,
    last_event_at timestamptz
);
