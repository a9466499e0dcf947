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

/** A chart's spec with data, width and configuration; legends get the columns there is room for. */
function complete({ spec, rows }) {
  const columns = innerWidth < 520 ? 2 : 5;
  return {
    width: "container", height: 240, autosize: { type: "fit-x", contains: "padding" }, ...spec,
    data: { values: rows }, config: { ...CONFIG, legend: { ...CONFIG.legend, columns } },
  };
}

const tip = (...columns) => columns.map(([field, title]) => ({ field, title, type: "nominal" }));

/** Periods on the x axis, with ticks at their first days, which are UTC in the rows. */
const timeX = (rows) => ({
  field: "period", type: "temporal", scale: { type: "utc" },
  axis: {
    title: null, grid: false, labelOverlap: true, labelFlush: false, labelSeparation: 12,
    format: rows.length && rows[0].period.slice(0, 4) === rows.at(-1).period.slice(0, 4) ? "%-d %b" : "%b %Y",
    values: levels(rows, "period").map((day) => Date.parse(day)),
  },
});

/** A colour for each of the named series, in their order. */
const series = (field, names) => ({ field, type: "nominal", sort: names, scale: { domain: names, range: SERIES } });

/** How much further than its longest bar an axis goes, so that there is room for labels behind. */
const room = (pixels) => { const width = document.querySelector(".plot").clientWidth - 120; return width / (width - pixels); };

/** Axes of shares, counts and names. */
const rateAxis = { title: null, format: ".0%", tickCount: 5 };
const countAxis = { title: null, tickCount: 5, format: "~s" };
const nameY = (field, rows) => ({ field, type: "nominal", sort: levels(rows, field), axis: { title: null, domain: false, ticks: false, labelPadding: 8, labelColor: "var(--ink)" } });

/** Horizontal bars of one share a name, with the share beside the bar. */
function rateBars(rows, { name, rate, label, tooltip, color }) {
  const most = Math.max(...rows.map((row) => row[rate] ?? 0), 0.01);
  return {
    height: rows.length * 34,
    encoding: { y: nameY(name, rows), x: { field: rate, type: "quantitative", scale: { domain: [0, most * room(56)] }, axis: null } },
    layer: [
      { mark: { type: "bar", height: { band: 0.68 }, cornerRadiusEnd: 2, tooltip: true }, encoding: { tooltip, ...(color && { color }) } },
      { mark: { type: "text", align: "left", dx: 6 }, encoding: { text: { field: label } } },
    ],
  };
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
