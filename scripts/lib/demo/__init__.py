"""The whole way once, with a generated stream: `scripts/demo`."""
