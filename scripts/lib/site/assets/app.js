"use strict";
// Data, tiles, tables and drawing: what every page shares. A page calls `tiles` and `chart` with
// functions of the filters' state, and at last `start`.

const embedded = JSON.parse(document.getElementById("data").textContent);
const DAY = 86400000;
const FIRST = Date.parse(embedded.first);
const LAST_DAY = Math.round((Date.parse(embedded.last) - FIRST) / DAY);
const FEW = 100; // of fewer the interval of a rate is said beside it
const charts = [];
const lists = [];
let showTiles = () => ({});
let queue = Promise.resolve(); // what is being drawn
let newest = 0; // the choice that is to be shown

/** Rows of a dataset as objects; it has columns of values, texts and times as places in the column's levels. */
function decode({ values, levels }) {
  const columns = Object.entries(values).map(([column, list]) => {
    const known = levels[column];
    const decoded = (value) => (value === null ? null : Array.isArray(value) ? value.map((place) => known[place]) : known[value]);
    return [column, known ? list.map(decoded) : list];
  });
  return (columns[0]?.[1] ?? []).map((_, i) => Object.fromEntries(columns.map(([column, list]) => [column, list[i]])));
}

const parts = new Map(); // what each funnel that was shown has alone, by name
let funnel = null; // the one that is shown
const loaded = (name, datasets) => parts.set(name, datasets);

/** Rows of a view of dbt: of the funnel that is shown, where it has a funnel and days, and so within `build`. */
function dataset(name) {
  const source = embedded.datasets[name] ?? parts.get(funnel)?.[name];
  if (!source) return [];
  source.rows ??= decode(source);
  return source.rows;
}

/** Loads what a funnel has alone. */
async function load(name) {
  const file = embedded.parts[name];
  if (file && !parts.has(name)) {
    await new Promise((done) => { document.head.append(Object.assign(document.createElement("script"), { src: file, onload: done, onerror: done })); });
  }
  funnel = name;
}

const levels = (rows, field) => [...new Set(rows.map((row) => row[field]))];
const sum = (rows, field) => rows.reduce((total, row) => total + row[field], 0);
/** A rate of rows: the sums of the columns that dbt's view `rpt_rates` names, divided; null where nothing is. */
function rate(name, rows) {
  const [part, whole] = embedded.rates[name];
  return sum(rows, whole) ? sum(rows, part) / sum(rows, whole) : null;
}
/** A goal over the days of a state, with its `target`; null without one. A rate, or what is no count of days, has that of the last. */
function goal(metric, subject, state) {
  const known = dataset("goals").filter((row) => row.metric === metric && row.subject === subject);
  const on = (day) => known.find((row) => (row.valid_from ?? -Infinity) <= day && day < (row.valid_to ?? Infinity));
  const last = on(state.to);
  if (!last?.is_per_day) return last ?? null;
  const days = Array.from({ length: state.to - state.from + 1 }, (_, i) => on(state.from + i));
  return days.every(Boolean) ? { ...last, target: sum(days, "target") } : null;
}
const within = (state) => (row) => row.day >= state.from && row.day <= state.to;

/** Low and high end of the 95 % interval of a share: E. B. Wilson, JASA 22 (1927), pages 209 to 212. */
function interval(part, whole) {
  const z = 1.959964; // the normal distribution has 95 % within so many standard deviations
  const [share, slack] = [part / whole, (z * z) / whole];
  const half = z * Math.sqrt((share * (1 - share) + slack / 4) / whole);
  return [-1, 1].map((side) => Math.min(Math.max((share + slack / 2 + side * half) / (1 + slack), 0), 1));
}

/** A rate of rows with what it is made of: numbers, its interval, and all that in words, also with what the whole is. */
function counted(name, rows) {
  const [part, whole] = embedded.rates[name].map((field) => sum(rows, field));
  const [low, high] = whole ? interval(part, whole) : [null, null];
  const count = `${format.count(part)} of ${format.count(whole)}`;
  const range = whole && whole < FEW ? ` (95 % interval ${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %)` : "";
  return { part, whole, rate: whole ? part / whole : null, low, high, count, note: count + range, noteOf: (what) => `${count} ${what}${range}` };
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

/** A name as people say it: `two_words` is Two words. */
const named = (name) => { const words = name.replaceAll("_", " ").trim(); return words.charAt(0).toUpperCase() + words.slice(1); };
/** The value of a segment as people say it. */
const valued = (value) => (value === "" ? "(empty)" : value.replaceAll("_", " "));
/** A text within others, whichever way its letters run (Unicode's first strong isolate). */
const isolated = (text) => `\u2068${text}\u2069`;

const format = {
  text: String,
  name: (name) => named(name),
  value: (value) => valued(value),
  date: (iso) => humanDay(iso),
  count: (n) => n.toLocaleString("en", { maximumFractionDigits: 1 }),
  rate: (n) => `${(100 * n).toFixed(1)} %`,
  points: (n) => (n > 0 ? `+${n}` : n < 0 ? `\u2212${-n}` : "0"),
  duration: (s) => {
    if (s < 90) return `${s.toFixed(0)} s`;
    if (s < 5400) return `${(s / 60).toFixed(0)} min`;
    return s < 172800 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(1)} days`;
  },
};
const isKnown = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const shown = (kind, value) => (isKnown(value) ? format[kind](value) : "–");

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

/** What happened in the days of a state, in order and numbered: to its funnel, or to everything. */
const annotations = (state) => dataset("annotations").filter(within(state)).filter((row) => row.subject === "" || row.subject === state.funnel)
  .sort((a, b) => a.day - b.day).map((row, i) => ({ ...row, number: i + 1, when: humanDay(isoDay(row.day)) }));

/**
 * Registers a chart: `build(state)` gives rows, columns [field, title, kind, and by which field to sort if by another], spec and
 * finding; of a chart through time also its goal, [metric, subject].
 */
const chart = (id, build) => charts.push({ section: document.getElementById(id), build });

/**
 * Registers the tiles: `build(state)` gives by the tile's id [value, note, kind, good, goal, none]. With
 * a kind of `format` the value is a number and compared with the period before, unless `good` is null;
 * it is 1 where more is better, -1 where less is, 0 where neither. The note is about the value: where
 * there is no value `none` says why.
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

/** How far a number is from its goal: [text, whether it is reached]. */
function ofGoal(kind, value, { target, is_upper_limit: upper }) {
  const reached = upper ? value <= target : value >= target;
  const name = `the goal of ${upper ? "at most " : ""}${kind === "rate" ? `${(100 * target).toFixed(0)}\u00a0%` : shown(kind, target)}`;
  if (kind === "rate") return [`${Math.abs(100 * (value - target)).toFixed(1)} points ${value < target ? "below" : "above"} ${name}`, reached];
  return [target ? `${(100 * value / target).toFixed(0)}\u00a0% of ${name}` : `${reached ? "At" : "Above"} ${name}`, reached];
}

/** The days, weeks or months of a state, each as the state of its days. */
function* cut(state) {
  for (let from = state.from; from <= state.to;) {
    const next = dayOf(period(state, from, 1));
    yield { ...state, from, to: Math.min(next - 1, state.to) };
    from = next;
  }
}

/** Fills the tiles, each with the change against as many days before, and a line through the period. */
async function fillTiles(state) {
  const then = before(state);
  const earlier = then ? showTiles(then) : {};
  for (const [id, [value, note, kind, good, aim, none]] of Object.entries(showTiles(state))) {
    document.getElementById(id).textContent = kind ? shown(kind, value) : value;
    document.getElementById(`${id}-note`).textContent = (isKnown(value) ? note : none) ?? "";
    const line = document.getElementById(`${id}-change`);
    const [text, isGood] = kind && good !== null && earlier[id] ? change(kind, value, earlier[id][0], good) : ["", null];
    const days = state.to - state.from + 1;
    line.replaceChildren(...(text ? [text, Object.assign(document.createElement("span"), { textContent: ` vs ${days === 1 ? "the day" : `${days} days`} before` })] : []));
    line.className = `change${isGood === null ? "" : isGood ? " good" : " bad"}`;
    const [far, isReached] = aim && value !== null ? ofGoal(kind, value, aim) : ["", false];
    Object.assign(document.getElementById(`${id}-goal`), { textContent: far, title: aim?.description ?? "", className: isReached ? "goal good" : "goal" });
  }
  const lines = document.querySelectorAll(".spark");
  const through = lines.length ? [...cut(state)].map(showTiles) : [];
  for (const line of lines) await vegaEmbed(line, sparkline(through.map((values) => values[line.dataset.of][0])), EMBED);
}

function fillTable(table, { rows, columns }) {
  const was = table.tHead?.querySelector("[aria-sort]");
  const cell = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (["text", "name", "value"].includes(kind) && tag === "td") element.append(Object.assign(document.createElement("bdi"), { textContent: text }));
    else element.textContent = text;
    element.className = ["text", "name", "value"].includes(kind) ? "" : kind === "date" ? "date" : "number";
    return element;
  };
  const head = document.createElement("tr");
  head.append(...columns.map(([, title, kind]) => {
    const top = Object.assign(cell("th", "", kind), { scope: "col" });
    top.append(Object.assign(document.createElement("button"), { type: "button", textContent: title }));
    return top;
  }));
  const body = rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...columns.map(([field, , kind, by = field]) => {
      const data = cell("td", shown(kind, row[field]), kind);
      data.dataset.sort = row[by] ?? "";
      return data;
    }));
    if (row.href) {
      const link = Object.assign(document.createElement("a"), { href: row.href });
      link.append(...line.cells[0].childNodes);
      line.cells[0].append(link);
    }
    return line;
  });
  table.replaceChildren(document.createElement("thead"), document.createElement("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...body);
  table.classList.add("sortable", "asc", "n-last");
  const again = was && head.cells[was.cellIndex];
  if (!again) return;
  if (was.ariaSort === "descending") again.ariaSort = "ascending"; // a click turns it
  again.firstChild.click();
}

async function draw(chart, state) {
  const result = chart.build(state);
  const plot = chart.section.querySelector(".plot");
  chart.section.querySelector(".finding").textContent = result.rows.length ? result.finding ?? "" : "";
  fillTable(chart.section.querySelector("table"), result);
  chart.result = result;
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
  chart.view = (await vegaEmbed(plot, complete(result, state), EMBED)).view;
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${chart.section.querySelector("h2").textContent}; the numbers are in the table below.`);
  plot.querySelector("svg").setAttribute("aria-hidden", "true");
}

/** Registers a table without a chart: `build(state)` gives rows, of which `href` leads on, and columns. */
const list = (id, build) => lists.push({ section: document.getElementById(id), build });

/** Where a user's story is. */
const storyOf = (key) => `${embedded.files.users}#${new URLSearchParams({ period: WHOLE, user: key })}`;

/** Shows a state: tiles, then one chart after the other, until there is a newer one. */
async function show(state) {
  newest += 1;
  const own = newest;
  await queue.catch(() => null); // whoever drew has said what was wrong
  if (own !== newest) return;
  await load(state.funnel);
  await fillTiles(state);
  for (const each of lists) {
    each.result = each.build(state);
    each.section.querySelector(".finding")?.replaceChildren(each.result.finding ?? "");
    fillTable(each.section.querySelector("table"), each.result);
    each.section.classList.toggle("bare", !each.result.rows.length);
  }
  for (const chart of charts) {
    await new Promise((done) => { setTimeout(done); }); // for the browser to show what is there
    if (own !== newest) return;
    await draw(chart, state);
  }
}

/** Lists what happened in the days of a state; charts have the numbers of these lines. */
function fillAnnotations(state) {
  const list = document.getElementById("annotations");
  list.replaceChildren(...annotations(state).map(({ when, annotation, link }) => {
    const line = document.createElement("li");
    const words = Object.assign(document.createElement(link ? "a" : "bdi"), { textContent: annotation, dir: "auto", ...(link && { href: link, rel: "noreferrer" }) });
    line.append(`${when}: `, words);
    return line;
  }));
  list.hidden = !list.children.length;
}

/** Draws everything for the filters as they are, and keeps them in the address. */
function render(missing = []) {
  const state = readState();
  keepAddress(state);
  fillAnnotations(state);
  const gone = missing.map((value) => `${isolated(value)} is not here, so it is left out`);
  document.getElementById("shown").textContent =
    [`${fromTo(humanDay(isoDay(state.from)), humanDay(isoDay(state.to)))}, by ${grain(state)}`, ...choicesInWords(isolated).map(([, words]) => words), ...gone].join(" · ");
  queue = show(state);
  return queue;
}

function start() {
  const missing = startFilters(render);
  for (const each of [...charts, ...lists]) offerFiles(each);
  render(missing).then(() => { document.body.dataset.ready = "true"; });
}
