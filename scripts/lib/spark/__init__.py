"""Builds the marts from a lake on Apache Spark: `scripts/spark`."""
