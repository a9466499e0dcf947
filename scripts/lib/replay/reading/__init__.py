"""Reads histories: `files` opens what there is, the others read one format each."""
