"""What several commands share: how they end, databases, the collector as a client sees it."""
