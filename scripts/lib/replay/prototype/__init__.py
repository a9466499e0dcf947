"""Moving in from the prototype: `scripts/replay --from-prisma`. docs/prototype.md is its manual."""
