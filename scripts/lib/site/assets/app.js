"use strict";
// Filters, tables, CSV and drawing: what every page shares. A page calls `tiles` and `chart` with
// functions of the filters' state, and at last `start`.

const embedded = JSON.parse(document.getElementById("data").textContent);
const DAY = 86400000;
const FIRST = Date.parse(embedded.first);
const LAST_DAY = Math.round((Date.parse(embedded.last) - FIRST) / DAY);
const form = document.getElementById("filters");
const charts = [];
let showTiles = () => ({});
let queue = Promise.resolve();

/** Rows of a view of dbt as objects; texts and times come as places in the list of their column's levels. */
function dataset(name) {
  const { columns, levels, rows } = embedded.datasets[name];
  const decoded = (known, value) => {
    if (!known || value === null) return value;
    return Array.isArray(value) ? value.map((place) => known[place]) : known[value];
  };
  return rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, decoded(levels[column], row[i])])));
}

const levels = (rows, field) => [...new Set(rows.map((row) => row[field]))];
const sum = (rows, field) => rows.reduce((total, row) => total + row[field], 0);
/** A rate of rows: the sums of the columns that dbt's view `rpt_rates` names, divided; null where nothing is. */
function rate(name, rows) {
  const [part, whole] = embedded.rates[name];
  return sum(rows, whole) ? sum(rows, part) / sum(rows, whole) : null;
}
const within = (state) => (row) => row.day >= state.from && row.day <= state.to;

/** Groups rows by the values of a function, in order of first appearance. */
function groups(rows, key) {
  const found = new Map();
  for (const row of rows) {
    const k = key(row);
    if (!found.has(k)) found.set(k, []);
    found.get(k).push(row);
  }
  return found;
}

const isoDay = (day) => new Date(FIRST + day * DAY).toISOString().slice(0, 10);
const dayOf = (iso) => Math.round((Date.parse(iso) - FIRST) / DAY);
const humanDay = (iso) =>
  new Date(iso).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** What the days are cut into: days up to six weeks, weeks up to 13 months, else months. */
function grain(state) {
  const days = state.to - state.from + 1;
  return days <= 42 ? "day" : days <= 400 ? "week" : "month";
}

/** First day, as ISO text, of the day, week (Monday) or month that holds a day, or of one after. */
function period(state, day, after = 0) {
  const date = new Date(FIRST + day * DAY);
  if (grain(state) === "day") date.setUTCDate(date.getUTCDate() + after);
  if (grain(state) === "week") date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7) + 7 * after);
  if (grain(state) === "month") date.setUTCMonth(date.getUTCMonth() + after, 1);
  return date.toISOString().slice(0, 10);
}

const format = {
  text: String,
  date: humanDay,
  count: (n) => n.toLocaleString("en", { maximumFractionDigits: 1 }),
  rate: (n) => `${(100 * n).toFixed(1)} %`,
  duration: (s) => {
    if (s < 90) return `${s.toFixed(0)} s`;
    if (s < 5400) return `${(s / 60).toFixed(0)} min`;
    return s < 172800 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(1)} days`;
  },
};
const shown = (kind, value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : format[kind](value));

/** Counted times, as [seconds, count] in order, of rows of parallel arrays `seconds` and `counts`. */
function addTimes(rows) {
  const times = new Map();
  for (const row of rows) row.seconds.forEach((time, i) => times.set(time, (times.get(time) ?? 0) + row.counts[i]));
  return [...times].sort((a, b) => a[0] - b[0]);
}

/** What to say beside percentiles of rows of times. */
const precision = (rows) => (rows.every((row) => row.is_exact) ? "exact" : "to within 1 %");

/** The percentile of counted times as PostgreSQL's percentile_cont has it, null without any. */
function percentile(times, share) {
  if (!times.length) return null;
  const place = share * (times.reduce((total, [, count]) => total + count, 0) - 1);
  const at = (index) => {
    let left = index;
    return times.find(([, count]) => (left -= count) < 0)[0];
  };
  const [low, high] = [at(Math.floor(place)), at(Math.ceil(place))];
  return low + (place - Math.floor(place)) * (high - low);
}

/** Registers a chart: `build(state)` gives rows, columns [field, title, kind], spec and finding. */
const chart = (id, build) => charts.push({ section: document.getElementById(id), build });

/** Registers the tiles: `build(state)` gives [value, note] by the tile's id. */
const tiles = (build) => { showTiles = build; };

function fillTable(table, { rows, columns }) {
  const cell = (tag, text, kind) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind !== "text" && kind !== "date") element.className = "number";
    return element;
  };
  const head = document.createElement("tr");
  head.append(...columns.map(([, title, kind]) => Object.assign(cell("th", title, kind), { scope: "col" })));
  const body = rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...columns.map(([field, , kind]) => cell("td", shown(kind, row[field]), kind)));
    return line;
  });
  table.replaceChildren(document.createElement("thead"), document.createElement("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...body);
}

function saveCsv(id, { rows, columns }) {
  // A text that a spreadsheet would take for a formula gets an apostrophe before it.
  const inert = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? ""));
  const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = [columns.map(([field]) => field), ...rows.map((row) => columns.map(([field]) => row[field]))];
  const text = lines.map((line) => line.map((value) => quote(inert(value))).join(",") + "\r\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${id}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

function draw(chart, state) {
  const result = chart.build(state);
  const plot = chart.section.querySelector(".plot");
  chart.section.querySelector(".finding").textContent = result.rows.length ? result.finding ?? "" : "";
  fillTable(chart.section.querySelector("table"), result);
  chart.section.querySelector(".csv").onclick = () => saveCsv(chart.section.id, result);
  // One after the other, with room between for the browser to show what is there.
  queue = queue.then(() => new Promise((done) => { setTimeout(done); })).then(async () => {
    chart.view?.finalize();
    chart.view = null;
    if (!result.rows.length) {
      const none = Object.assign(document.createElement("p"), { className: "none", textContent: "Nothing in this choice." });
      plot.replaceChildren(none);
      plot.removeAttribute("role");
      plot.removeAttribute("aria-label");
      return;
    }
    chart.view = await vegaEmbed(plot, complete(result), EMBED);
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${chart.section.querySelector("h2").textContent}; the numbers are in the table below.`);
    plot.querySelector("svg").setAttribute("aria-hidden", "true");
  });
}

function readState() {
  const fields = new FormData(form);
  const from = dayOf(fields.get("from") || embedded.first);
  const to = dayOf(fields.get("to") || embedded.last);
  const [segment, segmentValue] = JSON.parse(fields.get("segment") ?? '["all","all"]');
  return { from: Math.min(from, to), to: Math.max(from, to), funnel: fields.get("funnel"), segment, segmentValue, type: fields.get("type") };
}

/** Draws everything for the filters as they are, and keeps them in the address. */
function render() {
  const state = readState();
  const chosen = [...form.elements].filter((field) => field.value && field.value !== field.dataset.initial);
  history.replaceState(null, "", `#${new URLSearchParams(chosen.map((field) => [field.name, field.value]))}`);
  const choices = [...form.querySelectorAll("select")].map((select) => select.selectedOptions[0]?.textContent);
  document.getElementById("shown").textContent =
    [`${humanDay(isoDay(state.from))} to ${humanDay(isoDay(state.to))}, by ${grain(state)}`, ...choices].join(" · ");
  for (const [id, [value, note]] of Object.entries(showTiles(state))) {
    document.getElementById(id).textContent = value;
    document.getElementById(`${id}-note`).textContent = note ?? "";
  }
  charts.forEach((chart) => draw(chart, state));
  return queue;
}

/** Fills a select: `options` are [value, text], or [group, [[value, text], ...]]. */
function fillSelect(name, options) {
  const option = ([value, text]) => new Option(text, value);
  form.elements[name].append(...options.map(([key, content]) => {
    if (!Array.isArray(content)) return option([key, content]);
    const group = Object.assign(document.createElement("optgroup"), { label: key });
    group.append(...content.map(option));
    return group;
  }));
}

function start() {
  for (const name of ["from", "to"]) {
    const field = form.elements[name];
    field.min = embedded.first;
    field.max = embedded.last;
    field.defaultValue = name === "from" ? embedded.first : embedded.last;
  }
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const field of form.elements) {
    field.dataset.initial = field.value;
    if (asked.has(field.name)) field.value = asked.get(field.name);
    if (field.value === "" && field.dataset.initial) field.value = field.dataset.initial;
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", render);
  form.addEventListener("reset", () => setTimeout(render));
  render().then(() => { document.body.dataset.ready = "true"; });
}
