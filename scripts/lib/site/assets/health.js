"use strict";

/** Rows of which no more than there are colours have a kind of their own; the others are the rarest. */
function withOthers(rows, kind, count) {
  const totals = [...groups(rows, (row) => row[kind])].map(([name, group]) => [name, sum(group, count)]);
  if (totals.length <= SERIES.length) return rows;
  const kept = new Set(totals.sort((a, b) => b[1] - a[1]).slice(0, SERIES.length - 1).map(([name]) => name));
  return rows.map((row) => (kept.has(row[kind]) ? row : { ...row, [kind]: "(other)" }));
}

/** Stacked bars of a count by period and kind. */
function stacked(rowsOfAll, state, kind, count, title, metric) {
  const all = withOthers(rowsOfAll, kind, count);
  const rows = [...groups(all.filter(within(state)), (row) => `${period(state, row.day)} ${row[kind]}`).values()]
    .map((group) => {
      const start = period(state, group[0].day);
      return { period: start, end: period(state, group[0].day, 1), when: humanDay(start), kind: group[0][kind], count: sum(group, count) };
    })
    .sort((a, b) => a.period.localeCompare(b.period) || a.kind.localeCompare(b.kind));
  for (const bars of groups(rows, (row) => row.period).values()) {
    bars.reduce((low, row) => Object.assign(row, { low, high: low + row.count }).high, 0);
  }
  const [domainMin, domainMax] = [period(state, state.from), period(state, state.to, 1)].map((day) => Date.parse(day));
  return {
    rows, goal: [metric, ""],
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["kind", title, "text"], ["count", "Events", "count"]],
    finding: `${format.count(sum(rows, "count"))} in these days.`,
    spec: {
      height: 220,
      mark: { type: "rect", tooltip: true, x2Offset: -1 },
      encoding: {
        x: { ...timeX(rows), scale: { type: "utc", domainMin, domainMax } }, x2: { field: "end" },
        y: { field: "low", type: "quantitative", axis: countAxis("y") }, y2: { field: "high" },
        color: series("kind", levels(rows, "kind").sort()),
        tooltip: tip(["when", grain(state)], ["kind", title], ["count", "events"]),
      },
    },
  };
}

chart("events", (state) => stacked(dataset("events_daily"), state, "event_subject", "events", "about", "events"));
chart("rejections", (state) => stacked(dataset("rejections_daily"), state, "rejection_code", "events_rejected", "reason", "events_refused"));

list("violations", (state) => ({
  rows: [...groups(dataset("violations_daily").filter(within(state)), (row) => `${row.event_type}.${row.property}`)].map(([name, rows]) => {
    const [missing, wrong, checked] = ["events_missing", "events_wrong_type", "events_checked"].map((field) => sum(rows, field));
    return { name, missing, wrong, share: (missing + wrong) / checked };
  }).sort((a, b) => b.missing + b.wrong - a.missing - a.wrong),
  columns: [["name", "Property", "text"], ["missing", "Missing", "count"], ["wrong", "Of another type", "count"], ["share", "Share", "rate"]],
}));

list("anomalies", (state) => ({
  rows: dataset("anomalies").map((row) => ({ ...row, day: row.occurred_on, when: isoDay(row.occurred_on) })).filter(within(state)).sort((a, b) => b.day - a.day),
  columns: [["when", "Day", "date"], ["measure", "Measure", "text"], ["subject", "Of", "text"], ["value", "Value", "count"], ["usual_value", "Usual", "count"]],
}));

list("schema", () => ({
  rows: [
    ...dataset("column_changes").map((row) => ({ ...row, day: row.changed_on, of: row.mart, part: row.column_name })),
    ...dataset("property_changes").map((row) => ({ ...row, day: row.changed_on, of: row.event_type, part: row.property })),
  ].map((row) => ({ ...row, when: isoDay(row.day) })).sort((a, b) => b.day - a.day),
  columns: [["when", "Day", "date"], ["of", "Of", "text"], ["part", "Column or property", "text"], ["change", "Change", "text"], ["type_before", "Before", "text"], ["type_after", "After", "text"]],
}));

start();
