"""The insights site: `scripts/site`."""
