"use strict";
// The filters: what they offer, the address that keeps them, and the state that charts are made of.

const form = document.getElementById("filters");
const WHOLE = "all"; // the period that is all days
const PERIODS = [
  ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["90d", "Last 90 days"], ["month", "This month"], ["last-month", "Last month"],
  ["quarter", "This quarter"], ["last-quarter", "Last quarter"], [WHOLE, "All days"], ["days", "From … to …"],
];
const CHOICES = new Set(); // names of filters that take several values

const isoDay = (day) => new Date(FIRST + day * DAY).toISOString().slice(0, 10);
const dayOf = (iso) => Math.round((Date.parse(iso) - FIRST) / DAY);
const humanDay = (iso) =>
  new Date(iso).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).replace("Sept", "Sep"); // as charts have it

/** From one to another, which is said once where they are the same. */
const fromTo = (first, last) => (first === last ? first : `${first} to ${last}`);

/** First and last day of a named period, counted back from the last day there are data of. */
function daysOf(name) {
  const last = new Date(FIRST + LAST_DAY * DAY);
  const [, count] = /^(\d+)d$/.exec(name) ?? [];
  if (count) return [LAST_DAY - count + 1, LAST_DAY];
  const length = name.endsWith("quarter") ? 3 : 1;
  const start = (back) => {
    const month = last.getUTCMonth();
    return Math.round((Date.UTC(last.getUTCFullYear(), month - (month % length) - back * length, 1) - FIRST) / DAY);
  };
  if (name === "month" || name === "quarter") return [start(0), LAST_DAY];
  if (name.startsWith("last-")) return [start(1), start(0) - 1];
  return [0, LAST_DAY];
}

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

/** As many days before those of a state; null where there are not so many. */
function before(state) {
  const from = 2 * state.from - state.to - 1;
  return from < 0 ? null : { ...state, from, to: state.from - 1 };
}

/** Fills a select: `options` are [value, text]. */
function fillSelect(name, options) {
  form.elements[name].append(...options.map(([value, text]) => Object.assign(new Option(text, value), { dir: "auto" })));
}

/** Fills a filter that takes several values of one group: `groups` are [label, [[value, text], ...]]. None chosen is all. */
function fillChoices(name, groups) {
  CHOICES.add(name);
  const box = form.querySelector(`[data-name=${name}] .options`);
  box.append(...groups.map(([label, options]) => {
    const group = document.createElement("fieldset");
    group.append(Object.assign(document.createElement("legend"), { textContent: label }));
    for (const [value, text] of options) {
      const line = document.createElement("label");
      const check = Object.assign(document.createElement("input"), { type: "checkbox", name, value });
      check.addEventListener("change", () => { // values of several groups overlap: no sum has them
        for (const other of box.querySelectorAll(":checked")) if (!group.contains(other)) other.checked = false;
      });
      line.append(check, Object.assign(document.createElement("bdi"), { textContent: text }));
      group.append(line);
    }
    return group;
  }));
}

/** The state of the filters: first and last day, and the value of each, a list of values where it takes several. */
function readState() {
  const fields = new FormData(form);
  let [from, to] = daysOf(fields.get("period"));
  if (fields.get("period") === "days") {
    [from, to] = [dayOf(fields.get("from") || embedded.first), dayOf(fields.get("to") || embedded.last)].sort((a, b) => a - b);
  }
  const chosen = [...new Set([...fields.keys()])].map((name) => [name, fields.get(name)]);
  const several = [...CHOICES].map((name) => [name, fields.getAll(name)]);
  return { ...Object.fromEntries([...chosen, ...several]), from: Math.max(from, 0), to: Math.min(Math.max(to, 0), LAST_DAY) };
}

/** Each filter with what is chosen, in words, each of which goes through a function. */
function choicesInWords(each = String) {
  const selects = [...form.querySelectorAll("select:not([name=period])")].map((select) => [select.name, [...select.selectedOptions].map((option) => each(option.textContent)).join("")]);
  const lists = [...CHOICES].map((name) => [name, [...form.querySelectorAll(`[name=${name}]:checked`)].map((check) => each(check.parentElement.textContent)).join(", ")]);
  return [...selects, ...lists].filter(([, words]) => words);
}

/** Keeps the filters in the address and in the links to other pages, with those that this page does not have. */
function keepAddress(state) {
  const address = new URLSearchParams(location.hash.slice(1));
  const own = new Set([...form.elements].map((field) => field.name).filter(Boolean));
  for (const name of own) address.delete(name);
  address.set("period", state.period);
  if (state.period === "days") for (const name of ["from", "to"]) address.set(name, isoDay(state[name]));
  for (const select of form.querySelectorAll("select:not([name=period])")) if (select.value) address.set(select.name, select.value);
  for (const name of CHOICES) for (const value of state[name]) address.append(name, value);
  history.replaceState(null, "", `#${address}`);
  for (const link of document.querySelectorAll("nav a:not([href^=docs], [href^=definitions]), a.page")) link.hash = address;
  for (const field of form.querySelectorAll("[name=from], [name=to]")) {
    field.value = isoDay(state[field.name]);
    field.closest("label").hidden = state.period !== "days";
  }
  for (const list of form.querySelectorAll(".choice")) {
    list.querySelector("b").textContent = choicesInWords(isolated).find(([name]) => name === list.dataset.name)?.[1] ?? "All";
  }
}

/** Sets the filters as the address has them, and returns what it asks for that is not there. */
function applyAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  form.reset();
  const missing = [];
  if (asked.has("from") || asked.has("to")) asked.set("period", "days");
  for (const field of form.elements) {
    if (!field.name || !asked.has(field.name)) continue;
    const known = field.value;
    if (field.type === "checkbox") field.checked = asked.getAll(field.name).includes(field.value);
    else field.value = asked.get(field.name);
    if (field.value === "" && asked.get(field.name)) {
      missing.push(asked.get(field.name));
      field.value = known;
    }
  }
  for (const name of CHOICES) {
    const offered = [...form.querySelectorAll(`[name=${name}]`)].map((check) => check.value);
    missing.push(...asked.getAll(name).filter((value) => !offered.includes(value)));
  }
  return missing;
}

function startFilters(changed) {
  fillSelect("period", PERIODS);
  form.elements.period.querySelector("[value='30d']").defaultSelected = true;
  for (const name of ["from", "to"]) Object.assign(form.elements[name], { min: embedded.first, max: embedded.last });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    if (event.target.name === "period" && event.target.value === "days") form.elements.from.closest("label").hidden = false;
    changed([]);
  });
  document.getElementById("clear").addEventListener("click", () => { form.reset(); changed([]); });
  window.addEventListener("hashchange", () => changed(applyAddress()));
  for (const list of form.querySelectorAll(".choice")) {
    list.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      list.open = false;
      list.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => { if (!list.contains(event.target)) list.open = false; });
  }
  return applyAddress();
}
