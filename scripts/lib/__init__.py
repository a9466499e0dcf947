"""The Python behind `scripts/`: generator, replay, report and the like."""
