"use strict";

const days = dataset("credit_bands_daily");
const changes = dataset("credit_moves_daily");
const bands = levels(days, "band");

const readable = valued;
const goodBands = levels(days.filter((row) => row.is_good), "band").map((band) => isolated(readable(band))).join(", ") || "no band";
const bandColor = { field: "name", type: "nominal", sort: bands.map(readable), scale: { domain: bands.map(readable), range: BANDS } };
fillSelect("funnel", Object.keys(embedded.parts).map((name) => [name, named(name)]));

/** The colours of bands, and one for users without a score where there are any; the legend has the bands that somebody is in. */
function bandsOf(rows) {
  const there = levels(rows.filter((row) => row.users), "name");
  const names = bands.map(readable);
  const all = [...names, ...there.filter((name) => !names.includes(name))];
  return { ...bandColor, sort: all, scale: { domain: all, range: [...BANDS, "var(--c7)"] }, legend: { values: all.filter((name) => there.includes(name)) } };
}

const lastDay = (rows) => {
  const last = rows.reduce((latest, row) => Math.max(latest, row.day), -1);
  return rows.filter((row) => row.day === last);
};

const upAndDown = (moves) =>
  [["up", true], ["down", false]].map(([word, isUp]) => `${format.count(sum(moves.filter((row) => row.is_up === isUp), "moves"))} ${word}`).join(", ");

tiles((state) => {
  const rows = days.filter(within(state));
  const now = lastDay(rows);
  const moved = changes.filter(within(state));
  return {
    scored: [sum(now, "users"), `at the end of ${humanDay(isoDay(state.to))}`, "count", 0],
    good: [rate("good_band_rate", now), `${format.count(sum(now, "users_in_good_bands"))}: ${goodBands}`, "rate", 1],
    moves: [sum(moved, "moves"), upAndDown(moved), "count", 0],
    punctual: [rate("on_time_rate", rows), counted("on_time_rate", rows).noteOf("due"), "rate", 1, goal("on_time_rate", "", state), "none was due"],
  };
});

chart("distribution", (state) => {
  const rows = [...groups(days.filter(within(state)), (row) => period(state, row.day))].sort().flatMap(([key, group]) => {
    const end = lastDay(group);
    const all = sum(end, "users");
    return end.map(({ band, users }) => ({ period: key, when: humanDay(key), band, name: readable(band), order: bands.indexOf(band), users, rate: all ? users / all : null, share: shown("rate", all ? users / all : null) }));
  });
  const total = sum(rows.filter((row) => row.period === rows.at(-1).period), "users");
  return {
    rows: total ? rows : [],
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["name", "Band", "text"], ["users", "Users at its end", "count"], ["rate", "Share", "rate"]],
    spec: {
      mark: areaMark(rows, { tooltip: true }),
      encoding: {
        x: timeX(rows), y: { field: "users", type: "quantitative", stack: "normalize", axis: { ...rateAxis, title: null } },
        color: bandsOf(rows), order: { field: "order", type: "quantitative" },
        tooltip: tip(["when", grain(state)], ["name", "band"], ["users", "users"], ["share", "share"]),
      },
    },
  };
});

chart("movement", (state) => {
  const moved = changes.filter(within(state));
  const rows = [...groups(moved, (row) => `${row.previous_band}>${row.band}`).values()].map((group) => {
    const { previous_band, band } = group[0];
    return { previous_band, band, from: readable(previous_band), to: readable(band), moves: sum(group, "moves") };
  }).sort((a, b) => bands.indexOf(a.previous_band) - bands.indexOf(b.previous_band) || bands.indexOf(a.band) - bands.indexOf(b.band));
  const axis = (field, title) => ({ field, type: "nominal", scale: { domain: bands.map(readable) }, axis: { title, titlePadding: 10, labelPadding: 6, labelAngle: field === "to" && innerWidth < 520 ? -40 : 0, domain: false, ticks: false, labelLimit: 70, labelOverlap: false } });
  return {
    rows,
    columns: [["from", "From", "text"], ["to", "To", "text"], ["moves", "Changes", "count"]],
    finding: `${upAndDown(moved)}.`,
    spec: heatMap({ x: axis("to", "to"), y: axis("from", "from"), depth: "moves", label: "moves", cells: 6, height: bands.length * 40, tooltip: tip(["from", "from"], ["to", "to"], ["moves", "changes"]) }),
  };
});

/** Rows of a rate by band, in the order of the bands, and their chart. */
function byBand(rows, name) {
  const shares = [...groups(rows, (row) => row.band)].map(([band, group]) => ({ band, name: readable(band), ...counted(name, group) }))
    .filter((row) => row.whole)
    .sort((a, b) => bands.indexOf(a.band) - bands.indexOf(b.band));
  return { rows: shares, spec: rateBars(shares, { name: "name", tooltip: tip(["name", "band"]), color: { ...bandColor, legend: null } }) };
}

chart("conversion", (state) => {
  const rows = dataset("conversion_daily").filter(within(state)).map((row) => ({ ...row, band: row.segment_value }));
  return {
    ...byBand(rows, "conversion_rate"),
    columns: [["name", "Band", "text"], ["whole", "Attempts", "count"], ["part", "Converted", "count"], ["rate", "Rate", "rate"]],
  };
});

chart("payments", (state) => {
  return {
    ...byBand(days.filter(within(state)), "on_time_rate"),
    columns: [["name", "Band", "text"], ["whole", "Due", "count"], ["part", "Made", "count"], ["rate", "On time", "rate"]],
  };
});

chart("punctuality", (state) => {
  const rows = [...groups(days.filter(within(state)), (row) => period(state, row.day))].sort().map(([key, group]) => {
    const { whole, part, rate: value, note } = counted("on_time_rate", group);
    return { period: key, when: humanDay(key), whole, part, value, note, text: shown("rate", value) };
  }).filter((row) => row.whole);
  return {
    rows, goal: ["on_time_rate", ""],
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["whole", "Due", "count"], ["part", "Made", "count"], ["value", "On time", "rate"]],
    finding: `${shown("rate", rate("on_time_rate", days.filter(within(state))))} over all these days.`,
    spec: lines(rows, { kinds: [], axis: rateAxis, tooltip: tip(["when", grain(state)], ["text", "on time"], ["note", "count"]) }),
  };
});

chart("missed", () => {
  const rows = dataset("missed_payments").map((row) => ({ ...row, name: valued(row.band), missed: row.payments_missed === 6 ? "6 or more" : String(row.payments_missed) }))
    .sort((a, b) => a.payments_missed - b.payments_missed || a.band_order - b.band_order);
  const late = sum(rows.filter((row) => row.payments_missed), "users");
  return {
    rows,
    columns: [["missed", "Payments missed", "text"], ["name", "Band now", "text"], ["users", "Users", "count"]],
    finding: rows.length && `${format.count(late)} of ${format.count(sum(rows, "users"))} users missed one or more.`,
    spec: {
      mark: { type: "bar", tooltip: true },
      encoding: {
        x: { field: "missed", type: "ordinal", sort: levels(rows, "missed"), axis: { title: "payments missed", labelAngle: 0, ticks: false } },
        y: { field: "users", type: "quantitative", axis: countAxis("y") }, order: { field: "band_order", type: "quantitative" }, color: bandsOf(rows),
        tooltip: tip(["missed", "payments missed"], ["name", "band"], ["users", "users"]),
      },
    },
  };
});

chart("scores", () => {
  const rows = dataset("credit_scores").map((row) => ({ ...row, name: readable(row.band), score_to: row.score_from + 9, until: row.score_from + 10, label: `${row.score_from} to ${row.score_from + 9}` }))
    .sort((a, b) => a.score_from - b.score_from || a.band_order - b.band_order);
  const x = { field: "score_from", type: "quantitative", scale: { zero: false, nice: false, domain: [rows[0]?.score_from, rows.at(-1)?.until] }, axis: { title: "score", grid: false, tickCount: 8 } };
  const y = (field) => ({ field, type: "quantitative", axis: countAxis("y") });
  return {
    rows,
    columns: [["score_from", "Score from", "count"], ["score_to", "to", "count"], ["name", "Band", "text"], ["users", "Users", "count"], ["users_30d_ago", "30 days before", "count"], ["users_90d_ago", "90 days before", "count"]],
    finding: `${format.count(sum(rows, "users"))} users have a score.`,
    spec: {
      encoding: { x },
      layer: [
        { mark: { type: "rect", tooltip: true, x2Offset: -1 }, encoding: { x2: { field: "until" }, y: y("users"), y2: { datum: 0 }, color: bandsOf(rows), tooltip: tip(["label", "score"], ["name", "band"], ["users", "users"], ["users_30d_ago", "30 days before"], ["users_90d_ago", "90 days before"]) } },
        { mark: { type: "line", interpolate: "step-after", color: "var(--ink)", strokeWidth: 1.5 }, encoding: { y: { ...y("users_90d_ago"), aggregate: "sum" } } },
      ],
    },
  };
});

/** Users by how far their score moved in so many days. */
function shift(count) {
  const rows = dataset("credit_changes").filter((row) => row.days === count).sort((a, b) => a.points_to - b.points_to);
  const side = (sign) => format.count(sum(rows.filter((row) => Math.sign(row.points_to) === sign), "users"));
  const label = ({ points_to: to }) => (to === 0 ? "no change" : Math.abs(to) === 100 ? `${format.points(to - 9 * Math.sign(to))} or more` : `${format.points(to - 9 * Math.sign(to))} to ${format.points(to)}`);
  const moved = rows.filter((row) => row.points_to).map((row) => ({ ...row, label: label(row), way: row.points_to > 0 ? "Rose" : "Fell" }));
  return {
    rows: rows.map((row) => ({ ...row, label: label(row) })),
    columns: [["label", "Points", "text"], ["users", "Users", "count"]],
    finding: `${side(1)} rose, ${side(-1)} fell, ${side(0)} did not change and are not drawn.`,
    spec: {
      data: { values: moved },
      mark: { type: "bar", tooltip: true, size: 10 },
      encoding: {
        x: { field: "points_to", type: "quantitative", scale: { domain: [-105, 105], nice: false }, axis: { title: "points, up to", grid: false, values: [-100, -50, 0, 50, 100] } },
        y: { field: "users", type: "quantitative", axis: countAxis("y") },
        color: { field: "way", type: "nominal", sort: ["Fell", "Rose"], scale: { domain: ["Fell", "Rose"], range: [BANDS[0], BANDS[4]] }, legend: { values: levels(moved, "way") } },
        tooltip: tip(["label", "points"], ["users", "users"]),
      },
    },
  };
}

chart("shift30", () => shift(30));
chart("shift90", () => shift(90));

list("profiles", () => {
  const rows = dataset("credit_profiles").map((row) => ({ ...row, href: storyOf(row.user_key), name: valued(row.band), missed_on: row.last_missed_on === null ? null : isoDay(row.last_missed_on) }))
    .sort((a, b) => (a.score_change_90d ?? 0) - (b.score_change_90d ?? 0) || b.payments_missed - a.payments_missed);
  return {
    rows,
    columns: [["user_key", "User", "text"], ["name", "Band", "text"], ["score_change_30d", "In 30 days", "points"], ["score_change_90d", "In 90 days", "points"], ["payments_made", "Paid", "count"], ["payments_missed", "Missed", "count"], ["on_time_rate", "On time", "rate"], ["missed_on", "Last missed", "date"]],
    finding: `${format.count(rows.length)} users.`,
  };
});

start();
