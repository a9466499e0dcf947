"""The tests, all against a real PostgreSQL and a real HTTP server."""
