"""Sends a history to the collector, whatever it is kept in: `scripts/replay`.

docs/replay.md is its manual. `files` opens what there is and `rows`, `documents`, `tables` and
`xes` read it; `mapping` makes events or users of the rows, with the `values` and `times` of their
fields, and `making` counts what comes of it; `identity` gives them ids; `run` sends them and
`state` remembers. `inspect` and `trial` show beforehand, `rejected` sends again what was refused.
"""
