"""`scripts/bench`: what Headwater does, measured beside its peers and limits on one machine."""
