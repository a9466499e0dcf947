"use strict";
// The look of the charts: Vega-Lite's configuration and the few kinds of chart that pages use.
// Colours are the variables of style.css, so that dark mode and print need no drawing anew.

const EMBED = { actions: false, renderer: "svg", tooltip: { theme: "custom", disableDefaultStyle: true } };
const SERIES = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => `var(--c${n})`);
const BANDS = [0, 1, 2, 3, 4].map((n) => `var(--b${n})`);
const CONFIG = {
  aria: false, // the figure is one image with a label; its numbers are in the table
  background: null,
  font: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  view: { stroke: null },
  axis: {
    labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)", domainColor: "var(--line)",
    tickColor: "var(--line)", labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelLimit: 150,
  },
  legend: { labelColor: "var(--ink)", title: null, orient: "bottom", labelFontSize: 12, symbolType: "square", columnPadding: 14 },
  range: { category: SERIES },
  bar: { color: "var(--c0)" },
  line: { color: "var(--c0)", strokeWidth: 2, strokeJoin: "round" },
  area: { color: "var(--pale)" },
  point: { filled: true, size: 45, color: "var(--c0)" },
  text: { color: "var(--ink)", fontSize: 12 },
};

/** A legend with as many columns as there is room for beside the longest names of an axis. */
function legend(spec) {
  const names = [spec, ...(spec.layer ?? [])].flatMap((part) => part.encoding?.color?.scale?.domain ?? []);
  const longest = 7.5 * Math.max(...names.map((name) => name.length), 1);
  const width = document.querySelector(".plot").clientWidth;
  const columns = Math.min(Math.max(Math.floor((width - 150) / (longest + 34)), 1), 5);
  return { ...CONFIG.legend, columns, labelLimit: Math.max(width - 150, 160) };
}

/** A chart's spec with data, width and configuration. */
function complete(result, state) {
  const { spec, rows } = result;
  if (spec.$schema) return spec; // of Vega itself
  const { height = 240, ...drawn } = spec;
  return {
    width: "container", height, autosize: { type: "fit-x", contains: "padding" },
    ...(spec.encoding?.x?.type === "temporal" ? throughTime(drawn, result, state) : drawn),
    data: spec.data ?? { values: rows }, config: { ...CONFIG, legend: legend(spec) },
  };
}

/** A chart through time, below it the line of its goal, above it what happened, numbered as in the list of annotations. */
function throughTime(spec, { rows, goal: aim }, state) {
  const { x, y = spec.layer?.[0].encoding.y } = spec.encoding;
  const at = (row) => (x.field === "period" ? row.period : row.seconds * 1000);
  const places = rows.map((row) => +new Date(at(row)));
  const isThere = (row) => +new Date(row[x.field]) >= Math.min(...places) && +new Date(row[x.field]) <= Math.max(...places);
  const noted = [...groups(annotations(state), (row) => (x.field === "period" ? period(state, row.day) : Date.parse(isoDay(row.day))))]
    .map(([place, some]) => ({ [x.field]: place, number: levels(some, "number").join(", "), when: levels(some, "when").join(", "), what: some.map((row) => isolated(row.annotation)).join(" · ") })).filter(isThere);
  const goals = aim ? [...cut(state)].map((part) => ({ period: period(state, part.from), target: goal(...aim, part)?.target })).filter((row) => row.target !== undefined && isThere(row)) : [];
  const isLevel = levels(goals, "target").length === 1;
  const goalY = { ...y, field: "target", stack: null };
  const tooltip = tip(["when", "day"], ["what", "annotation"]);
  const top = { x, y: { value: 0 }, tooltip };
  return {
    layer: [
      spec,
      ...(goals.length ? [
        { data: { values: isLevel ? goals.slice(-1) : goals }, mark: { type: isLevel ? "rule" : "line", interpolate: "step-after", point: false, color: "var(--ink)", strokeDash: [6, 4], strokeWidth: 1.25 }, encoding: { y: goalY, ...(!isLevel && { x }) } },
        { data: { values: goals.slice(-1) }, mark: { type: "text", align: "right", baseline: "bottom", dy: -4, text: "goal" }, encoding: { x: { value: "width" }, y: goalY } },
      ] : []),
      ...(noted.length ? [
        { data: { values: noted }, mark: { type: "rule", color: "var(--muted)", strokeDash: [2, 3], tooltip: true }, encoding: { x, tooltip } },
        { data: { values: noted }, mark: { type: "point", size: 260, fill: "var(--card)", stroke: "var(--muted)", strokeWidth: 1, opacity: 1, yOffset: -10, tooltip: true }, encoding: top },
        { data: { values: noted }, mark: { type: "text", fontSize: 11, dy: -10, tooltip: true }, encoding: { ...top, text: { field: "number" } } },
      ] : []),
    ],
  };
}

const tip = (...columns) => columns.map(([field, title]) => ({ field, title, type: "nominal" }));

/** Periods on the x axis, with ticks at their first days, which are UTC in the rows. */
const timeX = (rows) => ({
  field: "period", type: "temporal", scale: { type: "utc" },
  axis: {
    title: null, grid: false, labelOverlap: true, labelFlush: false, labelSeparation: 12,
    format: rows.every((row) => row.period.endsWith("-01")) ? "%b %Y" : levels(rows.map((row) => ({ year: row.period.slice(0, 4) })), "year").length > 1 ? "%-d %b %Y" : "%-d %b",
    values: levels(rows, "period").map((day) => Date.parse(day)),
  },
});

/** A name on an axis or in a legend, whichever way its letters run. */
const ISOLATED = "'\u2068' + datum.label + '\u2069'";

/** A colour for each of the named series, in their order. */
const series = (field, names) => ({ field, type: "nominal", sort: names, scale: { domain: names, range: SERIES }, legend: { labelExpr: ISOLATED } });

/** How much further than its longest bar an axis goes, so that there is room for labels behind. */
const room = (pixels) => { const width = Math.min(...[...document.querySelectorAll(".plot")].map((plot) => plot.clientWidth)) - 120; return width / Math.max(width - pixels, width / 4); };

/** A line without axes, for a tile; it ends where the numbers do. */
const sparkline = (numbers) => ({
  width: "container", height: 34, padding: 3, background: null, config: { aria: false, view: { stroke: null } },
  data: { values: numbers.map((value, place) => ({ place, value })) },
  mark: { type: "line", color: "var(--c0)", strokeWidth: 1.5, point: numbers.filter((value) => value !== null).length === 1 },
  encoding: { x: { field: "place", type: "quantitative", axis: null, scale: { domain: [0, Math.max(numbers.length - 1, 1)], nice: false } }, y: { field: "value", type: "quantitative", axis: null, scale: { zero: false } } },
});

/** Axes of shares, of what is measured, of what is counted (whole, so that steps are), and of names. No two labels are the same. */
const rateAxis = { title: null, format: "%", tickCount: 5 };
const measureAxis = (title) => ({ title, tickCount: 5 });
const countAxis = (channel, more) => ({ title: null, tickCount: { signal: `min(5, max(1, floor(span(domain('${channel}')))))` }, labelExpr: "format(datum.value, '~s')", ...more });
const nameY = (field, rows) => ({ field, type: "nominal", sort: levels(rows, field), axis: { title: null, labelExpr: ISOLATED, domain: false, ticks: false, labelPadding: 8, labelColor: "var(--ink)" } });

/** Horizontal bars of one share a name, with its interval as a line, and beside it share and count: rows of `counted`. */
function rateBars(rows, { name, tooltip, color }) {
  const values = rows.map((row) => ({ ...row, label: `${format.rate(row.rate)} · ${row.count}` }));
  const most = Math.max(...rows.map((row) => row.high), 0.01);
  const x = (field) => ({ field, type: "quantitative", scale: { domain: [0, most * room(12 + 6.5 * Math.max(...values.map((row) => row.label.length)))] }, axis: null });
  return {
    height: rows.length * 34,
    data: { values },
    encoding: { y: nameY(name, rows), tooltip: [...tooltip, ...tip(["note", "count"])] },
    layer: [
      { mark: { type: "bar", height: { band: 0.68 }, cornerRadiusEnd: 2, tooltip: true }, encoding: { x: x("rate"), ...(color && { color }) } },
      { mark: { type: "rule", color: "var(--ink)", tooltip: true }, encoding: { x: x("low"), x2: { field: "high" } } },
      { mark: { type: "text", align: "left", dx: 6 }, encoding: { x: x("high"), text: { field: "label" } } },
    ],
  };
}

/** The mark of an area through time; of one period a bar, since an area of one point shows nothing. */
const areaMark = (rows, more) => (levels(rows, "period").length > 1 ? { type: "area", ...more } : { type: "bar", size: 48, tooltip: true });

/**
 * Layers of a line through periods, of which some are not over (`is_complete`): up to the last that
 * is over it is drawn through, from there on dashed, to hollow points.
 */
function unfinishedLine(rows, y) {
  const over = rows.map((row) => row.is_complete);
  const through = rows.filter((row, i) => over[i] || (over[i - 1] && over[i + 1]));
  const open = rows.filter((row, i) => !over[i] || over[i + 1] === false || over[i - 1] === false);
  const line = (values, more) => (values.length > 1 ? [{ data: { values }, mark: { type: "line", ...more }, encoding: { y } }] : []);
  return [
    ...line(through, {}), ...line(open, { strokeDash: [4, 4], strokeWidth: 1.5 }),
    {
      mark: { type: "point", stroke: "var(--c0)", strokeWidth: 1.5, opacity: 1, tooltip: true },
      encoding: { y, fill: { condition: { test: "datum.is_complete", value: "var(--c0)" }, value: "var(--card)" } },
    },
  ];
}

/** A heat map: the share of the darkest cell is the depth of the colour; numbers where they fit. */
function heatMap({ x, y, depth, label, tooltip, cells, height }) {
  const fits = document.querySelector(".plot").clientWidth / cells > 29;
  const text = { mark: { type: "text", fontSize: 11 }, encoding: { text: { field: label } } };
  return {
    height,
    encoding: { x, y },
    layer: [
      {
        mark: { type: "rect", fill: "var(--accent)", tooltip: true },
        encoding: { fillOpacity: { field: depth, type: "quantitative", legend: null, scale: { domainMin: 0, range: [0.03, 0.6] } }, tooltip },
      },
      ...(fits ? [text] : []),
    ],
  };
}

/** Horizontal bars of a count a name, and beside each what is said of it. */
function countBars(rows, { name, count, label, tooltip }) {
  const most = Math.max(...rows.map((row) => row[count]), 1);
  const x = { field: count, type: "quantitative", scale: { domain: [0, most * room(12 + 6.5 * Math.max(...rows.map((row) => row[label].length)))] }, axis: null };
  return {
    height: rows.length * 30,
    encoding: { y: nameY(name, rows), x, tooltip },
    layer: [
      { mark: { type: "bar", height: { band: 0.68 }, cornerRadiusEnd: 2, tooltip: true } },
      { mark: { type: "text", align: "left", dx: 6 }, encoding: { text: { field: label } } },
    ],
  };
}

/** A line through periods for each of the named kinds; rows have `period`, `when`, `kind` and `value`. */
function lines(rows, { kinds, axis, tooltip }) {
  return {
    mark: { type: "line", tooltip: true, point: { size: 30 } },
    encoding: { x: timeX(rows), y: { field: "value", type: "quantitative", axis }, tooltip, ...(kinds.length > 1 && { color: series("kind", kinds) }) },
  };
}

/** Rows by week, of the weeks that the days of a state are in. */
const withinWeeks = (state) => within({ ...state, from: state.from - 6 });

/** The unit in which a number of seconds is best read: [seconds, name]. */
const unitOf = (seconds) => (seconds > 259200 ? [86400, "days"] : seconds > 7200 ? [3600, "hours"] : seconds > 120 ? [60, "minutes"] : [1, "seconds"]);
