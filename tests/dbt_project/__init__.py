"""What dbt makes of raw: `dbt_project/`."""
