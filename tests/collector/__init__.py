"""What HTTP accepts and answers, and what lands in raw: `collector/`."""
