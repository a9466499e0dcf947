"use strict";

const cohorts = dataset("retention_segments_weekly");
const cuts = levels(cohorts, "segment").filter((segment) => segment !== WHOLE);
const users = (rows) => sum(rows.map((row) => ({ users: row.users_active[0] })), "users");
const valuesOf = (segment) => [...groups(cohorts.filter((row) => row.segment === segment), (row) => row.segment_value)].sort((a, b) => users(b[1]) - users(a[1])).map(([value]) => value);

fillSelect("cohort", [["", "All"], ...cuts.flatMap((segment) => valuesOf(segment).map((value) => [JSON.stringify([segment, value]), `${named(segment)}: ${valued(value)}`]))]);
fillSelect("compare", cuts.map((segment) => [segment, named(segment)]));

const chosen = (state) => {
  const [segment, value] = state.cohort ? JSON.parse(state.cohort) : [WHOLE, WHOLE];
  return cohorts.filter((row) => row.segment === segment && row.segment_value === value).filter(withinWeeks(state));
};

/** Who was active some weeks after, of cohorts that are old enough: part, whole and rate. */
function after(rows, week) {
  const old = rows.filter((row) => row.users_active.length > week);
  const [part, whole] = [sum(old.map((row) => ({ n: row.users_active[week] })), "n"), users(old)];
  return { week, part, whole, rate: whole ? part / whole : null, label: whole ? (100 * part / whole).toFixed(0) : "", count: `${format.count(part)} of ${format.count(whole)}`, share: shown("rate", whole ? part / whole : null) };
}

const age = (rows) => Math.max(...rows.map((row) => row.users_active.length), 0) - 1;

/** The weeks to show: all up to half a year, else every n-th. */
const weeks = (rows) => { const every = Math.ceil((age(rows) + 1) / 27); return Array.from({ length: Math.floor(age(rows) / every) + 1 }, (_, i) => i * every); };

/** Cohorts by week, month or quarter, whichever gives no more rows than a page has room for. */
function grouped(rows) {
  const month = (row) => isoDay(row.day).slice(0, 7);
  const quarter = (row) => `${isoDay(row.day).slice(0, 4)} Q${Math.ceil(Number(isoDay(row.day).slice(5, 7)) / 3)}`;
  const week = (row) => humanDay(isoDay(row.day));
  const key = [week, month, quarter].find((name) => levels(rows.map((row) => ({ name: name(row) })), "name").length <= 27) ?? quarter;
  return { title: key === week ? "Week of" : key === month ? "Month" : "Quarter", groups: [...groups(rows, key)] };
}

tiles((state) => {
  const rows = chosen(state);
  const tile = (week) => { const found = after(rows, week); return [found.rate, found.count, "rate", 1, null, "no cohort is old enough"]; };
  return { "fresh-users": [users(rows), "in weeks that are over", "count", 1], "week-1": tile(1), "week-4": tile(4), "week-12": tile(12) };
});

chart("cohorts", (state) => {
  const { title, groups: found } = grouped(chosen(state));
  const shownWeeks = weeks(chosen(state));
  const rows = found.flatMap(([cohort, group]) => shownWeeks.map((week) => ({ cohort, users: users(group), ...after(group, week) })).filter((row) => row.whole));
  const depth = rows.map((row) => ({ ...row, depth: row.week ? row.rate : null, label: row.week ? row.label : format.count(row.part) }));
  return {
    rows: depth,
    columns: [["cohort", title, "text"], ["week", "Weeks later", "count"], ["whole", "Users", "count"], ["part", "Active", "count"], ["rate", "Share", "rate"]],
    finding: `${format.count(found.length)} cohorts, ${format.count(users(chosen(state)))} users.`,
    spec: heatMap({
      x: { field: "week", type: "ordinal", axis: { title: "weeks later", labelAngle: 0, orient: "top", domain: false, ticks: false, labelOverlap: "greedy", labelSeparation: 4 } },
      y: { field: "cohort", type: "ordinal", sort: found.map(([cohort]) => cohort), axis: { title: null, domain: false, ticks: false, labelColor: "var(--ink)" } },
      depth: "depth", label: "label", cells: shownWeeks.length + 3, height: found.length * 24,
      tooltip: tip(["cohort", title.toLowerCase()], ["week", "weeks later"], ["share", "active"], ["count", "users"]),
    }),
  };
});

/** Retention of each kind as a line; the cohorts' own week, where all are active, is left out. */
function curves(kinds, columns, finding) {
  const rows = kinds.flatMap(([kind, group]) => weeks(group).filter((week) => week).map((week) => ({ kind, ...after(group, week) })));
  return {
    rows, columns, finding: rows.length ? finding : "",
    spec: {
      mark: { type: "line", tooltip: true, point: { size: 30 } },
      encoding: {
        x: { field: "week", type: "quantitative", axis: countAxis("x", { title: "weeks later", grid: false }) },
        y: { field: "rate", type: "quantitative", axis: rateAxis },
        color: series("kind", levels(rows, "kind")),
        tooltip: tip(["kind", "users"], ["week", "weeks later"], ["share", "active"], ["count", "count"]),
      },
    },
  };
}

const curveColumns = (title) => [["kind", title, "text"], ["week", "Weeks later", "count"], ["whole", "Users", "count"], ["part", "Active", "count"], ["rate", "Share", "rate"]];

chart("curves", (state) => {
  const { title, groups: found } = grouped(chosen(state));
  const newest = found.filter(([, group]) => age(group) >= 3).slice(-6);
  return curves(newest, curveColumns(title), newest.length ? `${fromTo(newest[0][0], newest.at(-1)[0])}.` : "");
});

chart("segments", (state) => {
  const rows = cohorts.filter((row) => row.segment === state.compare).filter(withinWeeks(state));
  const kinds = [...groups(rows, (row) => row.segment_value)].sort((a, b) => users(b[1]) - users(a[1])).map(([value, group]) => [valued(value), group]);
  const best = kinds.map(([kind, group]) => ({ kind, ...after(group, 4) })).filter((row) => row.whole >= FEW / 2 && row.part).sort((a, b) => b.rate - a.rate)[0];
  return curves(kinds, curveColumns(named(state.compare)), best ? `After four weeks ${isolated(best.kind)} has most, ${best.share}.` : "");
});

start();
