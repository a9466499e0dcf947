"""Whether builds succeed and come on time: `scripts/status`."""
