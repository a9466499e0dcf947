"""Sends a history to the collector, whatever it is kept in: `scripts/replay`.

docs/replay.md is its manual. `reading` opens what there is, `mapping` makes events or users of its
rows, `making` counts what comes of them, `identity` gives them ids. `run` takes a history `batches`
by batch, which `preparing` makes ready, and `state` remembers; `replacing` takes back. `checking`,
`inspect` and `trial` look beforehand, `rejected` sends again what was refused.
"""
