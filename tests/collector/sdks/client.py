"""Sends through Segment's SDK for Python: half at once, half when told to on stdin."""

# ruff: noqa: T201
import sys

from segment import analytics  # type: ignore[import-untyped]

analytics.host, analytics.write_key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
analytics.identify("ada", {"email": "ada@example.com", "ficoScore": 720})
analytics.page("ada", None, "Prices", {"path": "/pricing"})
for number in range(count):
    if number == count // 2:
        analytics.flush()
        print("half", flush=True)
        sys.stdin.readline()
    analytics.track("ada", "sdk_tested", {"number": number})
analytics.shutdown()
