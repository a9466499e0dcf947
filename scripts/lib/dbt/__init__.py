"""Runs dbt, checks and documents the project: `scripts/dbt`, `check`, `docs`, `lint`, `mf`."""
