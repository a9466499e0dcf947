"use strict";

const days = dataset("band_days");
const changes = dataset("band_moves");
const attempts = dataset("band_conversion");
const bands = levels(days, "band");
const GOOD = ["good", "very_good", "exceptional"]; // FICO's "good" begins at 670

const readable = (band) => band.replaceAll("_", " ");
const bandColor = { field: "name", type: "nominal", sort: bands.map(readable), scale: { domain: bands.map(readable), range: BANDS } };
fillSelect("funnel", levels(attempts, "funnel").map((funnel) => [funnel, funnel]));

const lastDay = (rows) => {
  const last = rows.reduce((latest, row) => Math.max(latest, row.day), -1);
  return rows.filter((row) => row.day === last);
};

tiles((state) => {
  const rows = days.filter(within(state));
  const now = lastDay(rows);
  const users = sum(now, "users");
  const good = sum(now.filter((row) => GOOD.includes(row.band)), "users");
  const moved = changes.filter(within(state));
  const up = sum(moved.filter((row) => bands.indexOf(row.band) > bands.indexOf(row.previous_band)), "moves");
  const made = sum(rows, "payments_made");
  const due = made + sum(rows, "payments_missed");
  return {
    scored: [format.count(users), `at the end of ${humanDay(isoDay(state.to))}`],
    good: [shown("rate", good / users), `${format.count(good)}: good, very good, exceptional`],
    moves: [format.count(sum(moved, "moves")), `${format.count(up)} up, ${format.count(sum(moved, "moves") - up)} down`],
    punctual: [shown("rate", made / due), `${format.count(made)} of ${format.count(due)} due`],
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
      mark: { type: "area", tooltip: true },
      encoding: {
        x: timeX(rows), y: { field: "users", type: "quantitative", stack: "normalize", axis: { ...rateAxis, title: null } },
        color: bandColor, order: { field: "order", type: "quantitative" },
        tooltip: tip(["when", grain(state)], ["name", "band"], ["users", "users"], ["share", "share"]),
      },
    },
  };
});

chart("movement", (state) => {
  const rows = [...groups(changes.filter(within(state)), (row) => `${row.previous_band}>${row.band}`).values()].map((group) => {
    const { previous_band, band } = group[0];
    return { previous_band, band, from: readable(previous_band), to: readable(band), moves: sum(group, "moves") };
  }).sort((a, b) => bands.indexOf(a.previous_band) - bands.indexOf(b.previous_band) || bands.indexOf(a.band) - bands.indexOf(b.band));
  const up = sum(rows.filter((row) => bands.indexOf(row.band) > bands.indexOf(row.previous_band)), "moves");
  const axis = (field, title) => ({ field, type: "nominal", scale: { domain: bands.map(readable) }, axis: { title, titlePadding: 10, labelPadding: 6, labelAngle: field === "to" && innerWidth < 520 ? -40 : 0, domain: false, ticks: false, labelLimit: 70, labelOverlap: false } });
  return {
    rows,
    columns: [["from", "From", "text"], ["to", "To", "text"], ["moves", "Changes", "count"]],
    finding: `${format.count(up)} changes up, ${format.count(sum(rows, "moves") - up)} down.`,
    spec: heatMap({ x: axis("to", "to"), y: axis("from", "from"), depth: "moves", label: "moves", cells: 6, height: bands.length * 40, tooltip: tip(["from", "from"], ["to", "to"], ["moves", "changes"]) }),
  };
});

/** Rows of one share a band, in the order of the bands, and their chart. */
function byBand(rows, part, whole, title) {
  const shares = rows.filter((row) => row[whole]).map((row) => ({ ...row, name: readable(row.band), rate: row[part] / row[whole], label: format.rate(row[part] / row[whole]), count: `${format.count(row[part])} of ${format.count(row[whole])}` }))
    .sort((a, b) => bands.indexOf(a.band) - bands.indexOf(b.band));
  return { rows: shares, spec: rateBars(shares, { name: "name", rate: "rate", label: "label", tooltip: tip(["name", "band"], ["label", title], ["count", "count"]), color: { ...bandColor, legend: null } }) };
}

chart("conversion", (state) => {
  const rows = [...groups(attempts.filter((row) => row.funnel === state.funnel).filter(within(state)), (row) => row.band)]
    .map(([band, group]) => ({ band, entered: sum(group, "entered"), converted: sum(group, "converted") }));
  return {
    ...byBand(rows, "converted", "entered", "converted"),
    columns: [["name", "Band", "text"], ["entered", "Attempts", "count"], ["converted", "Converted", "count"], ["rate", "Rate", "rate"]],
  };
});

chart("payments", (state) => {
  const rows = [...groups(days.filter(within(state)), (row) => row.band)]
    .map(([band, group]) => ({ band, made: sum(group, "payments_made"), due: sum(group, "payments_made") + sum(group, "payments_missed") }));
  return {
    ...byBand(rows, "made", "due", "on time"),
    columns: [["name", "Band", "text"], ["due", "Due", "count"], ["made", "Made", "count"], ["rate", "On time", "rate"]],
  };
});

start();
