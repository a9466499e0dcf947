"""What the fault tests are made of: a client and its ledger, servers to kill, planted defects."""
