"""Mapping files: `document` parses one, `fields` and `values` say where a field comes from."""
