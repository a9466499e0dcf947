"""The HTTP service that lands events and users as raw JSONB rows."""
