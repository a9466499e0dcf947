"""Raw as files, for what reads files: `scripts/export`."""
