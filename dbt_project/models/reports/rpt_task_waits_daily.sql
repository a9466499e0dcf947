{{ counted_task_times('wait_seconds') }}
