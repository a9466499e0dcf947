"""The short way of lines that are sent as they stand comes to what the long way comes to."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.lib.replay.batches import Records
from scripts.lib.replay.identity import Identity
from scripts.lib.replay.making import Maker, Options
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.preparing import Preparer
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import FileOptions

SUPPORTED = frozenset({"page_viewed", "conversion"})
FIRST = '{"eventId": "first", "eventType": "page_viewed"}'  # tells what the file is
LINES = st.one_of(
    st.builds(
        '{{"eventId": "{}", "eventType": "{}", "userId": {}, "occurredAt": "{}"}}'.format,
        st.integers(0, 40),
        st.sampled_from(["page_viewed", "conversion"]),
        st.integers(1, 2),
        st.sampled_from(["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"]),
    ),
    st.sampled_from(
        [
            '{"eventType": "page_viewed", "userId": 1}',
            '{"eventId": "i", "eventType": "swim", "userId": 1}',
            '{"eventId": "j", "eventType": "page_viewed", "occurredAt": "2149-01-01T00:00:00Z"}',
            '{"eventId": 7, "eventType": "page_viewed"}',
            '{"eventId": "", "eventType": "page_viewed"}',
            # As many objects as lines, and none of them a line.
            '{"eventId": "k", "eventType": "page_viewed"} '
            '{"eventId": "l", "eventType": "page_viewed"}\n'
            '{"eventId": \n"m", "eventType": "page_viewed"}',
            "",
            "  ",
            "[]",
            '{"eventId": "n", "eventType": "page_viewed"}\r',
            '  {"eventId": "o", "eventType": "page_viewed"} ',
            "\ufffd{",
        ]
    ),
)


def prepared(path: Path, size: int, *, short: bool) -> tuple[object, ...]:
    """What is sent of a file in batches of `size` rows, noted of it, and becomes of the rest."""
    maker = Maker(None, Options(replace=not short), SUPPORTED)  # which takes the long way
    identity = Identity("")
    preparer = Preparer(maker, identity)
    records = Records(History([path], FileOptions(), as_lines=True).blocks())
    outcome = Outcome()
    texts: list[bytes] = []
    places: list[str] = []
    ids: list[str] = []
    contents: list[int] = []
    while (batch := records.take(size)).rows:
        part = Outcome(rows=outcome.rows + len(batch.rows))
        made = preparer.prepare(batch, part)
        outcome.add(part)
        texts += made.texts
        places += [str(made.place_of(n)) for n in range(len(made.texts))]
        if made.noted:
            ids += made.noted.event_ids
            contents += made.noted.contents
    identity.close()
    outcome.digest = preparer.digest()
    return texts, places, ids, contents, outcome


@given(
    lines=st.lists(LINES, max_size=30),
    end=st.sampled_from(["", "\n", "\r\n"]),
    size=st.integers(1, 12),
)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_both_ways_come_to_the_same(tmp_path: Path, lines: list[str], end: str, size: int) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(("\n".join([FIRST, *lines]) + end).encode())
    short = prepared(path, size, short=True)
    long = prepared(path, 1000, short=False)
    assert short == long
    outcome = short[-1]
    assert isinstance(outcome, Outcome)
    assert outcome.rows == sum(bool(line.strip()) for line in path.read_text().split("\n"))
    assert outcome.rows == outcome.mapped + outcome.skipped + sum(outcome.rejected.values())
