"""The commands: `scripts/`."""
