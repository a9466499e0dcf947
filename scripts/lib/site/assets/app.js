"use strict";
// Data, tiles, tables and drawing: what every page shares. A page calls `tiles` and `chart` with
// functions of the filters' state, and at last `start`.

const embedded = JSON.parse(document.getElementById("data").textContent);
const DAY = 86400000;
const FIRST = Date.parse(embedded.first);
const LAST_DAY = Math.round((Date.parse(embedded.last) - FIRST) / DAY);
const FEW = 100; // of fewer the interval of a rate is said beside it
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

/** Low and high end of the 95 % interval of a share: E. B. Wilson, JASA 22 (1927), pages 209 to 212. */
function interval(part, whole) {
  const z = 1.959964; // the normal distribution has 95 % within so many standard deviations
  const [share, slack] = [part / whole, (z * z) / whole];
  const half = z * Math.sqrt((share * (1 - share) + slack / 4) / whole);
  return [-1, 1].map((side) => Math.min(Math.max((share + slack / 2 + side * half) / (1 + slack), 0), 1));
}

/** A rate of rows with what it is made of: numbers, its interval, and all that in words. */
function counted(name, rows) {
  const [part, whole] = embedded.rates[name].map((field) => sum(rows, field));
  const [low, high] = whole ? interval(part, whole) : [null, null];
  const count = `${format.count(part)} of ${format.count(whole)}`;
  const range = whole && whole < FEW ? `, ${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %` : "";
  return { part, whole, rate: whole ? part / whole : null, low, high, count, note: count + range };
}

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

/** A name as people say it: `loan_application` is Loan application. */
const named = (name) => { const words = name.replaceAll("_", " ").trim(); return words.charAt(0).toUpperCase() + words.slice(1); };
/** The value of a segment as people say it. */
const valued = (value) => (value === "" ? "(empty)" : value.replaceAll("_", " "));
/** A text within a sentence, whichever way its letters run (Unicode's first strong isolate). */
const isolated = (text) => `\u2068${text}\u2069`;

const format = {
  text: String,
  name: (name) => named(name),
  value: (value) => valued(value),
  date: (iso) => humanDay(iso),
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

/**
 * Registers the tiles: `build(state)` gives by the tile's id [value, note, kind, good]. With a kind of
 * `format` the value is a number and compared with the period before; `good` is 1 where more is
 * better, -1 where less is, 0 where neither.
 */
const tiles = (build) => { showTiles = build; };

/** How a number changed: [text, whether that is good]. Rates change by points, others by their share. */
function change(kind, now, then, good = 0) {
  if (now === null || then === null || now === undefined || then === undefined) return ["", null];
  const points = kind === "rate";
  if (!points && then === 0) return [now === 0 ? "no change" : "new", null];
  const moved = points ? 100 * (now - then) : 100 * (now / then - 1);
  const size = Math.abs(moved).toFixed(1);
  if (Number(size) === 0) return ["no change", null];
  return [`${moved > 0 ? "▲" : "▼"} ${size} ${points ? "points" : "%"}`, good ? moved > 0 === good > 0 : null];
}

/** Fills the tiles, each with the change against as many days before, and a line through the period. */
function fillTiles(state) {
  const then = before(state);
  const earlier = then ? showTiles(then) : {};
  for (const [id, [value, note, kind, good]] of Object.entries(showTiles(state))) {
    document.getElementById(id).textContent = kind ? shown(kind, value) : value;
    document.getElementById(`${id}-note`).textContent = note ?? "";
    const line = document.getElementById(`${id}-change`);
    const [text, isGood] = kind && earlier[id] ? change(kind, value, earlier[id][0], good) : ["", null];
    const days = state.to - state.from + 1;
    line.textContent = text && `${text} vs ${days === 1 ? "the day" : `${days} days`} before`;
    line.className = `change${isGood === null ? "" : isGood ? " good" : " bad"}`;
  }
}

function fillTable(table, { rows, columns }) {
  const cell = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (["text", "name", "value"].includes(kind) && tag === "td") element.append(Object.assign(document.createElement("bdi"), { textContent: text }));
    else element.textContent = text;
    if (!["text", "name", "value", "date"].includes(kind)) element.className = "number";
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

function draw(chart, state) {
  const result = chart.build(state);
  const plot = chart.section.querySelector(".plot");
  chart.section.querySelector(".finding").textContent = result.rows.length ? result.finding ?? "" : "";
  fillTable(chart.section.querySelector("table"), result);
  chart.result = result;
  // One after the other, with room between for the browser to show what is there.
  queue = queue.then(() => new Promise((done) => { setTimeout(done); })).then(async () => {
    chart.view?.finalize();
    chart.view = null;
    chart.section.querySelectorAll(".png, .svg").forEach((button) => { button.disabled = !result.rows.length; });
    if (!result.rows.length) {
      const none = Object.assign(document.createElement("p"), { className: "none", textContent: "Nothing in this choice." });
      plot.replaceChildren(none);
      plot.removeAttribute("role");
      plot.removeAttribute("aria-label");
      return;
    }
    chart.view = (await vegaEmbed(plot, complete(result), EMBED)).view;
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${chart.section.querySelector("h2").textContent}; the numbers are in the table below.`);
    plot.querySelector("svg").setAttribute("aria-hidden", "true");
  });
}

/** Draws everything for the filters as they are, and keeps them in the address. */
function render(missing = []) {
  const state = readState();
  keepAddress(state);
  const gone = missing.map((value) => `${isolated(value)} is not here, so it is left out`);
  document.getElementById("shown").textContent =
    [`${humanDay(isoDay(state.from))} to ${humanDay(isoDay(state.to))}, by ${grain(state)}`, ...choicesInWords().map(([, words]) => isolated(words)), ...gone].join(" · ");
  fillTiles(state);
  charts.forEach((chart) => draw(chart, state));
  return queue;
}

function start() {
  const missing = startFilters(render);
  for (const chart of charts) offerFiles(chart);
  render(missing).then(() => { document.body.dataset.ready = "true"; });
}
