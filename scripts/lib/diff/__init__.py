"""What a change of the dbt project does to the marts, before it ships: `scripts/diff`."""
