"use strict";

const days = dataset("task_days");
const times = dataset("task_times");

const types = levels([...groups(days, (row) => row.task_type)].map(([type, rows]) => ({ type, opened: sum(rows, "opened") })).sort((a, b) => b.opened - a.opened), "type");
fillSelect("type", [["", "All types"], ...types.map((type) => [type, type])]);

const chosen = (rows, state) => rows.filter((row) => !state.type || row.task_type === state.type).filter(within(state));
const byType = (rows) => [...groups(rows, (row) => row.task_type)].sort((a, b) => types.indexOf(a[0]) - types.indexOf(b[0]));

/** Tasks open at the end of the last of the rows' days. */
function backlog(rows) {
  const last = Math.max(...rows.map((row) => row.day));
  return sum(rows.filter((row) => row.day === last), "backlog");
}

/** The rows by day, week or month, in order. */
const periods = (rows, state) => [...groups(rows, (row) => period(state, row.day))].sort();

tiles((state) => {
  const rows = chosen(days, state);
  const bins = addBins(chosen(times, state));
  const opened = sum(rows, "opened");
  const done = sum(rows, "opened_then_completed");
  return {
    opened: [format.count(opened), "in these days"],
    completed: [shown("rate", done / opened), `${format.count(done)}, so far`],
    open: [rows.length ? format.count(backlog(rows)) : "–", `open at the end of ${humanDay(isoDay(state.to))}`],
    cycle: [shown("duration", quantile(bins, 0.5)), `about; 90 % took at most ${shown("duration", quantile(bins, 0.9))}`],
  };
});

chart("flow", (state) => {
  const kinds = [["opened", "Opened"], ["completed", "Completed"], ["abandoned", "Abandoned"]];
  const rows = periods(chosen(days, state), state).map(([key, group]) =>
    ({ period: key, when: humanDay(key), ...Object.fromEntries(kinds.map(([field]) => [field, sum(group, field)])) }));
  return {
    rows,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ...kinds.map(([field, title]) => [field, title, "count"])],
    finding: `${format.count(sum(rows, "opened"))} opened, ${format.count(sum(rows, "completed"))} completed, ${format.count(sum(rows, "abandoned"))} abandoned.`,
    spec: {
      transform: [{ fold: kinds.map(([field]) => field), as: ["kind", "tasks"] }, { calculate: "{opened:'Opened',completed:'Completed',abandoned:'Abandoned'}[datum.kind]", as: "what" }],
      mark: { type: "line", tooltip: true, point: { size: 30 } },
      encoding: {
        x: timeX(rows), y: { field: "tasks", type: "quantitative", axis: countAxis },
        color: series("what", kinds.map(([, title]) => title)),
        tooltip: tip(["when", grain(state)], ["what", "what"], ["tasks", "tasks"]),
      },
    },
  };
});

chart("backlog", (state) => {
  const rows = periods(chosen(days, state), state).map(([key, group]) => ({ period: key, when: humanDay(key), backlog: backlog(group) }));
  const first = rows[0];
  const last = rows.at(-1);
  return {
    rows,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["backlog", "Open at its end", "count"]],
    finding: last && `${format.count(last.backlog)} open at the end, ${format.count(first.backlog)} after the first ${grain(state)}.`,
    spec: {
      mark: { type: "area", color: "var(--pale)", line: { color: "var(--c0)" }, tooltip: true },
      encoding: { x: timeX(rows), y: { field: "backlog", type: "quantitative", axis: countAxis }, tooltip: tip(["when", grain(state)], ["backlog", "open at its end"]) },
    },
  };
});

chart("cycles", (state) => {
  const rows = byType(chosen(times, state)).map(([task_type, group]) => {
    const bins = addBins(group);
    const row = { task_type, tasks: [...bins.values()].reduce((total, count) => total + count, 0), p50: quantile(bins, 0.5), p90: quantile(bins, 0.9) };
    return { ...row, half: format.duration(row.p50), most: format.duration(row.p90) };
  });
  const longest = rows.reduce((found, row) => (!found || row.p90 > found.p90 ? row : found), null);
  const unit = longest && longest.p90 > 259200 ? [86400, "days"] : longest && longest.p90 > 7200 ? [3600, "hours"] : [60, "minutes"];
  const x = (field) => ({ field, type: "quantitative", axis: { title: unit[1], tickCount: 5 } });
  const tooltip = tip(["task_type", "type"], ["half", "half took at most"], ["most", "90 % took at most"], ["tasks", "completed tasks"]);
  return {
    rows,
    columns: [["task_type", "Type", "text"], ["tasks", "Completed", "count"], ["p50", "Half took at most about", "duration"], ["p90", "90 % took at most about", "duration"]],
    finding: longest && `${longest.task_type} has the longest tail: one in ten takes more than about ${longest.most}.`,
    spec: {
      height: rows.length * 36,
      transform: [{ calculate: `datum.p50 / ${unit[0]}`, as: "low" }, { calculate: `datum.p90 / ${unit[0]}`, as: "high" }],
      encoding: { y: nameY("task_type", rows), tooltip },
      layer: [
        { mark: { type: "rule", color: "var(--c0)", strokeWidth: 3, opacity: 0.45, tooltip: true }, encoding: { x: x("low"), x2: { field: "high" } } },
        { mark: { type: "point", size: 90, filled: true, color: "var(--c0)", opacity: 1, tooltip: true }, encoding: { x: x("low") } },
        { mark: { type: "point", size: 90, filled: true, fill: "var(--card)", stroke: "var(--c0)", strokeWidth: 2, opacity: 1, tooltip: true }, encoding: { x: x("high") } },
      ],
    },
  };
});

chart("rework", (state) => {
  const rows = byType(chosen(days, state)).map(([task_type, group]) => {
    const row = { task_type, opened: sum(group, "opened"), reworked: sum(group, "reworked"), reassigned: sum(group, "reassigned") };
    return { ...row, reworked_rate: row.opened ? row.reworked / row.opened : null, reassigned_rate: row.opened ? row.reassigned / row.opened : null };
  }).filter((row) => row.opened);
  const kinds = ["Reworked", "More than one assignee"];
  return {
    rows,
    columns: [["task_type", "Type", "text"], ["opened", "Opened", "count"], ["reworked", "Reworked", "count"], ["reworked_rate", "Share", "rate"], ["reassigned", "More than one assignee", "count"], ["reassigned_rate", "Share", "rate"]],
    finding: `${format.rate(sum(rows, "reworked") / sum(rows, "opened"))} of all tasks were reworked.`,
    spec: {
      height: rows.length * 42,
      transform: [
        { fold: ["reworked_rate", "reassigned_rate"], as: ["kind", "rate"] },
        { calculate: `datum.kind == 'reworked_rate' ? '${kinds[0]}' : '${kinds[1]}'`, as: "what" },
      ],
      mark: { type: "bar", tooltip: true, cornerRadiusEnd: 2 },
      encoding: {
        y: nameY("task_type", rows), yOffset: { field: "what", type: "nominal", sort: kinds },
        x: { field: "rate", type: "quantitative", axis: { ...rateAxis, domain: false } },
        color: series("what", kinds),
        tooltip: [...tip(["task_type", "type"], ["what", "what"]), { field: "rate", type: "quantitative", format: ".1%", title: "share" }],
      },
    },
  };
});

start();
