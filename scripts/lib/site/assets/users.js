"use strict";

const people = dataset("users").sort((a, b) => b.last_seen_on - a.last_seen_on);
const stories = dataset("user_stories").sort((a, b) => a.place - b.place).map((row) => ({ ...row, day: Math.floor((row.seconds * 1000 - FIRST) / DAY) }));
fillSelect("user", people.map((row) => [row.user_key, row.user_key]));

const KINDS = ["visit", "event", "attempt", "task", "score"].map(named);
const storyColumns = [["date", "Day", "date"], ["time", "Time", "text"], ["kind", "Kind", "text"], ["what", "What", "text"], ["detail", "Detail", "text"]];
const day = (number) => (number === null ? null : isoDay(number));
const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
const told = (state) => stories.filter((row) => row.user_key === state.user).filter(within(state))
  .map((row) => ({ ...row, date: isoDay(row.day), time: clock(row.seconds), what: ["visit", "task"].includes(row.kind) ? row.what : named(row.what), kind: named(row.kind), detail: row.kind === "attempt" ? valued(row.detail) : row.detail }));

tiles((state) => {
  const user = people.find((row) => row.user_key === state.user);
  return {
    events: [format.count(user.event_count), `first sent by ${isolated(user.source)}`],
    band: [valued(user.band), "now"],
    since: [humanDay(day(user.first_seen_on)), ""],
    latest: [humanDay(day(user.last_seen_on)), ""],
  };
});

chart("times", (state) => {
  const rows = told(state);
  const days = rows.length ? rows[0].day - rows.at(-1).day + 1 : 1;
  return {
    rows,
    columns: storyColumns,
    finding: `${format.count(rows.length)} entries.`,
    spec: {
      height: KINDS.length * 34,
      transform: [{ calculate: "datum.seconds * 1000", as: "at" }],
      mark: { type: "point", size: 70, opacity: 0.75, tooltip: true },
      encoding: {
        x: { field: "at", type: "temporal", scale: { type: "utc", padding: 8 }, axis: { title: null, labelFlush: false, labelOverlap: true, format: "%-d %b", tickCount: { interval: "day", step: Math.ceil(days / (innerWidth < 520 ? 4 : 10)) } } },
        y: { ...nameY("kind", rows), sort: KINDS }, color: { field: "kind", type: "nominal", legend: null, scale: { domain: KINDS, range: SERIES } },
        tooltip: tip(["date", "day"], ["time", "time"], ["what", "what"], ["detail", "detail"]),
      },
    },
  };
});

list("story", (state) => ({
  rows: told(state),
  columns: storyColumns,
}));

list("people", () => ({
  rows: people.map((row) => ({ ...row, href: storyOf(row.user_key), band: valued(row.band), first: day(row.first_seen_on), last: day(row.last_seen_on) })),
  columns: [["user_key", "User", "text"], ["band", "Score band", "text"], ["source", "First source", "text"], ["event_count", "Events", "count"], ["first", "First seen", "date"], ["last", "Last seen", "date"]],
  finding: `${format.count(people.length)} users.`,
}));

/** The key of an id, as the macro `user_key` makes it; null where the browser makes none. */
async function keyOf(id) {
  if (!window.crypto.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(id));
  return [...new Uint8Array(digest).slice(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

document.getElementById("find").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = event.target.elements.id.value.trim();
  const line = document.getElementById("found");
  const key = people.some((row) => row.user_key === id) ? id : await keyOf(id);
  const isHere = people.some((row) => row.user_key === key);
  if (!id) line.textContent = "Type an id as your application sends it, or a key.";
  else if (key === null) line.textContent = "Browsers make keys on this machine and over HTTPS only. Type the key.";
  else if (isHere) line.textContent = `Key ${key}.`;
  else line.textContent = `Key ${key}: no story of this user is here. Where there is such a user, scripts/site --user ID adds it.`;
  if (isHere) location.hash = new URLSearchParams({ period: WHOLE, user: key });
});

start();
