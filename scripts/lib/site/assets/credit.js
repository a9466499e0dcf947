"use strict";

const days = dataset("credit_bands_daily");
const changes = dataset("credit_moves_daily");
const bands = levels(days, "band");

const readable = valued;
const goodBands = levels(days.filter((row) => row.is_good), "band").map(readable).join(", ") || "no band";
const bandColor = { field: "name", type: "nominal", sort: bands.map(readable), scale: { domain: bands.map(readable), range: BANDS } };
fillSelect("funnel", Object.keys(embedded.parts).map((name) => [name, named(name)]));

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
    punctual: [rate("on_time_rate", rows), `${counted("on_time_rate", rows).note} due`, "rate", 1],
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
        color: bandColor, order: { field: "order", type: "quantitative" },
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

start();
