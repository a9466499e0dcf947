"use strict";

fillSelect("funnel", levels(dataset("funnels_daily"), "funnel").map((name) => [name, named(name)]));

const rowsOf = (name, state) => dataset(name).filter(within(state));
/** The rows of the last of the days there are rows of: what was so at their end. */
const atEnd = (rows) => { const last = Math.max(...rows.map((row) => row.day)); return rows.filter((row) => row.day === last); };
const stock = (rows, field) => (rows.length ? sum(atEnd(rows), field) : null);

tiles((state) => {
  const attempts = rowsOf("funnels_daily", state).filter((row) => row.funnel === state.funnel);
  const over = counted("conversion_rate", attempts);
  const tasks = rowsOf("tasks_daily", state);
  const bands = rowsOf("credit_bands_daily", state);
  const moves = rowsOf("credit_moves_daily", state);
  const up = moves.filter((row) => row.is_up);
  const paid = counted("on_time_rate", bands);
  return {
    rate: [over.rate, over.noteOf("that had all their time"), "rate", 1, goal("conversion_rate", state.funnel, state), "none had all its time"],
    entered: [sum(attempts, "attempts"), `${format.count(sum(attempts, "conversions"))} converted so far`, "count", 1, goal("attempts", state.funnel, state)],
    time: [percentile(addTimes(rowsOf("conversion_times_daily", state)), 0.5), "", "duration", -1],
    backlog: [stock(tasks, "backlog"), `open at the end of ${humanDay(isoDay(state.to))}`, "count", -1, goal("backlog", "", state)],
    completions: [sum(tasks, "completions"), `${format.count(sum(tasks, "tasks_opened"))} opened`, "count", 1],
    cycle: [percentile(addTimes(rowsOf("task_times_daily", state)), 0.5), "", "duration", -1],
    good: [bands.length ? rate("good_band_rate", atEnd(bands)) : null, `of ${format.count(stock(bands, "users") ?? 0)} with a score`, "rate", 1],
    up: [sum(up, "moves"), `${format.count(sum(moves, "moves") - sum(up, "moves"))} to a worse one`, "count", 1],
    punctual: [paid.rate, paid.noteOf("due"), "rate", 1, goal("on_time_rate", "", state), "none was due"],
  };
});

/** What wants attention: rows of rpt_attention in words, the worst of each kind, with their page. */
const KINDS = {
  violations: ["health", (n, subject) => `${n} events break the tracking plan at ${subject}`],
  refused: ["health", (n, subject) => `${n} events were refused: ${subject}`],
  backlog: ["tasks", (n, subject) => `${n} tasks are open: ${subject}`],
  late_payers: ["credit", (n) => `${n} users missed their last payment`],
};
const MOST = 3;

function fillAttention() {
  const list = document.querySelector(".attention");
  for (const { alert, description } of dataset("alerts").filter((row) => row.is_on)) {
    list.append(Object.assign(document.createElement("li"), { className: "bad", textContent: `${description} (alert ${isolated(alert)})` }));
  }
  for (const [kind, [page, words]] of Object.entries(KINDS)) {
    const rows = dataset("attention").filter((row) => row.kind === kind).sort((a, b) => b.items_now - a.items_now);
    // A backlog is nothing to see to unless it grows.
    const grown = kind === "backlog" ? rows.filter((row) => row.items_now > (row.items_before ?? 0)) : rows;
    for (const row of grown.slice(0, MOST)) {
      const line = document.createElement("li");
      const link = Object.assign(document.createElement("a"), { className: "page", href: embedded.files[page], textContent: words(format.count(row.items_now), isolated(valued(row.subject))) });
      line.append(link, kind === "late_payers" ? "" : `, ${format.count(row.items_before ?? 0)} the week before`);
      list.append(line);
    }
    if (grown.length > MOST) list.lastChild.append(`, and ${grown.length - MOST} more`);
  }
  if (!list.children.length) list.append(Object.assign(document.createElement("li"), { textContent: "Nothing." }));
}

list("funnels", (state) => ({
  rows: [...groups(rowsOf("funnels_daily", state), (row) => row.funnel)].map(([name, rows]) => {
    const then = before(state);
    const earlier = then ? rate("conversion_rate", rowsOf("funnels_daily", then).filter((row) => row.funnel === name)) : null;
    const over = counted("conversion_rate", rows);
    return { name, attempts: sum(rows, "attempts"), ...over, note: over.whole ? over.note : "not over", change: change("rate", over.rate, earlier)[0], moved: over.rate === null || earlier === null ? null : over.rate - earlier, href: `${embedded.files.conversion}#${new URLSearchParams({ period: state.period, funnel: name })}` };
  }).sort((a, b) => b.attempts - a.attempts),
  columns: [["name", "Funnel", "name"], ["attempts", "Attempts", "count"], ["note", "Converted", "text", "part"], ["rate", "Rate", "rate"], ["change", "Change", "text", "moved"]],
}));

fillAttention();
start();
