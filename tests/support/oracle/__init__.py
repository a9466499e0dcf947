"""What the marts have to say, worked out the slow way, one user at a time, in plain Python.

Written from the documentation alone (docs/definitions.md, docs/segment.md, README.md and the
descriptions of the seeds), not from the SQL. `marts.py` puts together what the other modules say.
"""
