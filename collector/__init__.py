"""The HTTP service that lands events and users as raw JSONB rows."""

__version__ = "0.2.0"  # of all of Headwater, and written nowhere else
