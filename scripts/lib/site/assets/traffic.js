"use strict";

const visits = dataset("visits_daily");
const pages = dataset("pages_daily");
const paths = dataset("paths_weekly");
const hour = dataset("last_hour").sort((a, b) => b.minutes_before - a.minutes_before);

const byCount = (rows, field, count) => [...groups(rows, (row) => row[field])].sort((a, b) => sum(b[1], count) - sum(a[1], count));
const origins = byCount(visits, "traffic_source", "visits").map(([origin]) => origin);
fillChoices("origin", [["Traffic source", origins.map((origin) => [origin, origin])]]);

const chosen = (state) => visits.filter((row) => !state.origin?.length || state.origin.includes(row.traffic_source)).filter(within(state));
const subject = (state) => (state.origin.length > 1 ? null : state.origin[0] ?? "");
const periods = (rows, state) => [...groups(rows, (row) => period(state, row.day))].sort();

tiles((state) => {
  const rows = chosen(state);
  return {
    visits: [sum(rows, "visits"), "in these days", "count", 1, goal("visits", subject(state), state)],
    bounce: [rate("bounce_rate", rows), counted("bounce_rate", rows).note, "rate", -1],
    depth: [rate("views_per_visit", rows), `${format.count(sum(rows, "views"))} views in these visits`, "count", 1],
    stay: [rate("seconds_per_visit", rows), "on average", "duration", 1],
  };
});

chart("through", (state) => {
  const kept = origins.slice(0, SERIES.length - 1);
  const rows = periods(chosen(state), state).flatMap(([key, group]) =>
    [...groups(group, (row) => (kept.includes(row.traffic_source) ? row.traffic_source : "(other)"))].map(([kind, some]) =>
      ({ period: key, when: humanDay(key), kind, visits: sum(some, "visits") })));
  const kinds = [...kept, "(other)"].filter((kind) => rows.some((row) => row.kind === kind));
  return {
    rows, goal: ["visits", subject(state)],
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["kind", "Traffic source", "text"], ["visits", "Visits", "count"]],
    finding: `${format.count(sum(rows, "visits"))} visits in these days.`,
    spec: {
      transform: [{ impute: "visits", key: "period", groupby: ["kind"], value: 0 }],
      mark: areaMark(rows, { tooltip: true }),
      encoding: {
        x: timeX(rows), y: { field: "visits", type: "quantitative", stack: "zero", axis: countAxis("y") }, color: series("kind", kinds),
        tooltip: tip(["when", grain(state)], ["kind", "from"], ["visits", "visits"]),
      },
    },
  };
});

/** A quotient of visits through time. */
function through(state, name, kind, title, axis) {
  const rows = periods(chosen(state), state).map(([key, group]) =>
    ({ period: key, when: humanDay(key), value: rate(name, group), text: shown(kind, rate(name, group)), visits: sum(group, "visits") }));
  return {
    rows,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["visits", "Visits", "count"], ["value", title, kind]],
    finding: `${shown(kind, rate(name, chosen(state)))} over all these days.`,
    spec: lines(rows, { kinds: [], axis, tooltip: tip(["when", grain(state)], ["text", title.toLowerCase()], ["visits", "visits"]) }),
  };
}

chart("bounces", (state) => through(state, "bounce_rate", "rate", "Bounce rate", rateAxis));
chart("stays", (state) => through(state, "seconds_per_visit", "duration", "Time a visit", measureAxis("seconds")));

chart("origins", (state) => {
  const rows = byCount(chosen(state), "traffic_source", "visits").map(([origin, group]) =>
    ({ origin, visits: sum(group, "visits"), ...counted("bounce_rate", group), label: `${format.count(sum(group, "visits"))}, ${shown("rate", rate("bounce_rate", group))} bounce` }));
  return {
    rows,
    columns: [["origin", "Traffic source", "text"], ["visits", "Visits", "count"], ["rate", "Bounce rate", "rate"]],
    finding: rows.length && `${isolated(rows[0].origin)} brings most.`,
    spec: countBars(rows, { name: "origin", count: "visits", label: "label", tooltip: tip(["origin", "from"], ["visits", "visits"], ["note", "bounced"]) }),
  };
});

chart("pages", (state) => {
  const rows = byCount(pages.filter(within(state)), "path", "views").map(([path, group]) => {
    const [views, entries, exits] = ["views", "entries", "exits"].map((field) => sum(group, field));
    return { path, views, entries, exits, label: format.count(views) };
  });
  return {
    rows,
    columns: [["path", "Page", "text"], ["views", "Views", "count"], ["entries", "Visits began", "count"], ["exits", "Visits ended", "count"]],
    finding: `${format.count(sum(rows, "views"))} views.`,
    spec: countBars(rows, { name: "path", count: "views", label: "label", tooltip: tip(["path", "page"], ["views", "views"], ["entries", "visits began"], ["exits", "visits ended"]) }),
  };
});

/** A Sankey diagram of `links`, rows of `paths`; what it is made of and where that stands are Vega's own transforms. */
function sankey(links, names) {
  const width = document.querySelector("#paths .plot").clientWidth;
  const height = 400;
  const steps = width < 520 ? 3 : 4;
  const most = Math.max(...[...groups(links, (row) => row.step).values()].map((rows) => sum(rows, "visits")));
  const gap = most * 0.035;
  const bar = 10;
  const name = "'\u2068' + datum.path + '\u2069'";
  const column = width / steps;
  const stack = (groupby, sort, as) => ({ type: "stack", field: "visits", groupby, sort: { field: sort }, as });
  const place = (path) => (names.includes(path) ? names.indexOf(path) : names.length);
  const values = links.filter((row) => row.step <= steps).map((row) => ({
    ...row, page: row.path, order: place(row.path), next_order: place(row.next_path), id: `${row.step} ${row.path}`, next_id: `${row.step + 1} ${row.next_path}`,
  }));
  const low = (key, as) => ({ type: "lookup", from: "nodes", key: "id", fields: [key], values: ["low"], as: [as] });
  return {
    $schema: "https://vega.github.io/schema/vega/v6.json", width, height, padding: 0, autosize: "none",
    config: { font: CONFIG.font, text: { fontSize: 12 } },
    data: [
      { name: "links", values },
      {
        name: "nodes", source: "links",
        transform: [
          { type: "aggregate", groupby: ["id", "step", "path", "order"], fields: ["visits"], ops: ["sum"], as: ["visits"] },
          stack(["step"], "order", ["start", "end"]),
          { type: "window", groupby: ["step"], sort: { field: "order" }, ops: ["row_number"], as: ["place"] },
          { type: "formula", as: "low", expr: `datum.start + (datum.place - 1) * ${gap}` },
        ],
      },
      {
        name: "flows", source: "links",
        transform: [
          stack(["id"], "next_order", ["from", "fromEnd"]),
          stack(["next_id"], "order", ["to", "toEnd"]),
          low("id", "fromLow"),
          low("next_id", "toLow"),
          { type: "filter", expr: "isValid(datum.toLow)" }, // where visits ended nothing goes on
          { type: "formula", as: "y1", expr: "scale('y', datum.fromLow + (datum.from + datum.fromEnd) / 2)" },
          { type: "formula", as: "y2", expr: "scale('y', datum.toLow + (datum.to + datum.toEnd) / 2)" },
          { type: "formula", as: "x1", expr: `${column} * (datum.step - 1) + ${bar}` },
          { type: "formula", as: "x2", expr: `${column} * datum.step` },
          { type: "linkpath", orient: "horizontal", shape: "diagonal", sourceX: "x1", sourceY: "y1", targetX: "x2", targetY: "y2" },
        ],
      },
    ],
    scales: [
      { name: "y", type: "linear", domain: [0, most + gap * names.length], range: [0, height] },
      { name: "color", type: "ordinal", domain: names, range: SERIES },
    ],
    marks: [
      {
        type: "path", from: { data: "flows" },
        encode: {
          update: {
            path: { field: "path" }, stroke: { scale: "color", field: "page" }, strokeWidth: { signal: "max(1, scale('y', datum.visits))" }, strokeOpacity: { value: 0.28 },
            tooltip: { signal: "{step: datum.step, from: datum.page, to: datum.next_path, visits: datum.visits}" },
          },
          hover: { strokeOpacity: { value: 0.6 } },
        },
      },
      {
        type: "rect", from: { data: "nodes" },
        encode: { update: {
          x: { signal: `${column} * (datum.step - 1)` }, width: { value: bar }, y: { scale: "y", field: "low" }, height: { scale: "y", field: "visits" },
          fill: { scale: "color", field: "path" }, tooltip: { signal: "{step: datum.step, page: datum.path, visits: datum.visits}" },
        } },
      },
      // Each name twice: the lower one is a rim that keeps it apart from the flows.
      ...[{ fill: { value: "var(--card)" }, stroke: { value: "var(--card)" }, strokeWidth: { value: 4 }, opacity: { value: 0.8 } }, { fill: { value: "var(--ink)" } }].map((ink) => ({
        type: "text", from: { data: "nodes" },
        encode: { update: {
          x: { signal: `${column} * (datum.step - 1) + ${bar + 6}` }, y: { signal: "scale('y', datum.low + datum.visits / 2)" }, baseline: { value: "middle" },
          text: { signal: steps < 4 ? `format(datum.visits, ',') + ' ' + ${name}` : `${name} + ' ' + format(datum.visits, ',')` }, limit: { value: column - bar - 12 }, ...ink,
        } },
      })),
    ],
  };
}

chart("paths", (state) => {
  const rows = [...groups(paths.filter(withinWeeks(state)), (row) => [row.step, row.path, row.next_path].join("\n")).values()]
    .map((group) => ({ ...group[0], visits: sum(group, "visits") }))
    .sort((a, b) => a.step - b.step || b.visits - a.visits);
  const first = rows.filter((row) => row.step === 1);
  const names = byCount(rows, "path", "visits").map(([path]) => path).sort((a, b) => (a === "(other)") - (b === "(other)"));
  const ended = sum(first.filter((row) => row.next_path === "(end)"), "visits");
  return {
    rows,
    columns: [["step", "Step", "count"], ["path", "Page", "text"], ["next_path", "Page after it", "text"], ["visits", "Visits", "count"]],
    finding: rows.length && `${shown("rate", ended / sum(first, "visits"))} of ${format.count(sum(first, "visits"))} visits saw one page only.`,
    spec: sankey(rows, names),
  };
});

chart("hour", () => {
  const rows = hour.map((row) => ({ ...row, ago: row.minutes_before + 5 }));
  const until = rows[0].until;
  return {
    rows,
    columns: [["ago", "Minutes before", "count"], ["events", "Events", "count"], ["views", "Pages viewed", "count"]],
    finding: `${format.count(sum(rows, "events"))} events and ${format.count(sum(rows, "views"))} page views up to ${humanDay(until.slice(0, 10))}, ${until.slice(11)}.`,
    spec: {
      height: 160,
      mark: { type: "bar", tooltip: true },
      encoding: {
        x: { field: "ago", type: "ordinal", sort: "descending", axis: { title: "minutes before", labelAngle: 0, ticks: false } },
        y: { field: "events", type: "quantitative", axis: countAxis("y") },
        tooltip: tip(["ago", "minutes before"], ["events", "events"], ["views", "pages viewed"]),
      },
    },
  };
});

start();
