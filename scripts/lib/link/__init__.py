"""Replication of raw to a destination that is another database: `scripts/link`."""
