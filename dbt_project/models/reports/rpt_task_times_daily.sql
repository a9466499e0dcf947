{{ counted_task_times('cycle_seconds') }}
