"use strict";

const days = dataset("tasks_daily");
const times = dataset("task_times_daily");

const types = levels([...groups(days, (row) => row.task_type)].map(([type, rows]) => ({ type, opened: sum(rows, "tasks_opened") })).sort((a, b) => b.opened - a.opened), "type");
fillChoices("type", [["Task type", types.map((type) => [type, type])]]);

const chosen = (rows, state) => rows.filter((row) => !state.type?.length || state.type.includes(row.task_type)).filter(within(state));
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
  const durations = chosen(times, state);
  const cycles = addTimes(durations);
  const completed = counted("completion_rate", rows);
  return {
    opened: [sum(rows, "tasks_opened"), "in these days", "count", 0],
    completed: [shown("rate", completed.rate), `${completed.note}, so far`],
    open: [rows.length ? backlog(rows) : null, `open at the end of ${humanDay(isoDay(state.to))}`, "count", -1],
    cycle: [percentile(cycles, 0.5), `90th percentile ${shown("duration", percentile(cycles, 0.9))}, ${precision(durations)}`, "duration", -1],
  };
});

chart("flow", (state) => {
  const kinds = [["tasks_opened", "Opened"], ["completions", "Completed"], ["abandonments", "Abandoned"]];
  const rows = periods(chosen(days, state), state).map(([key, group]) =>
    ({ period: key, when: humanDay(key), ...Object.fromEntries(kinds.map(([field]) => [field, sum(group, field)])) }));
  return {
    rows,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ...kinds.map(([field, title]) => [field, title, "count"])],
    finding: `${kinds.map(([field, title]) => `${format.count(sum(rows, field))} ${title.toLowerCase()}`).join(", ")}.`,
    spec: {
      transform: [{ fold: kinds.map(([field]) => field), as: ["kind", "tasks"] }, { calculate: "{tasks_opened:'Opened',completions:'Completed',abandonments:'Abandoned'}[datum.kind]", as: "what" }],
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
      mark: areaMark(rows, { color: "var(--pale)", line: { color: "var(--c0)" }, tooltip: true }),
      encoding: { x: timeX(rows), y: { field: "backlog", type: "quantitative", axis: countAxis }, tooltip: tip(["when", grain(state)], ["backlog", "open at its end"]) },
    },
  };
});

chart("cycles", (state) => {
  const durations = chosen(times, state);
  const rows = byType(durations).map(([task_type, group]) => {
    const cycles = addTimes(group);
    const row = { task_type, tasks: cycles.reduce((total, [, count]) => total + count, 0), p50: percentile(cycles, 0.5), p90: percentile(cycles, 0.9) };
    return { ...row, half: format.duration(row.p50), most: format.duration(row.p90) };
  });
  const longest = rows.reduce((found, row) => (!found || row.p90 > found.p90 ? row : found), null);
  const unit = longest && longest.p90 > 259200 ? [86400, "days"] : longest && longest.p90 > 7200 ? [3600, "hours"] : [60, "minutes"];
  const x = (field) => ({ field, type: "quantitative", axis: { title: unit[1], tickCount: 5 } });
  const tooltip = tip(["task_type", "type"], ["half", "median"], ["most", "90th percentile"], ["tasks", "completed tasks"]);
  return {
    rows,
    columns: [["task_type", "Type", "text"], ["tasks", "Completed", "count"], ["p50", "Median", "duration"], ["p90", "90th percentile", "duration"]],
    finding: longest && `${isolated(longest.task_type)} has the longest tail: one in ten takes more than ${longest.most} (${precision(durations)}).`,
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
    const counts = Object.fromEntries(["tasks_opened", "tasks_reworked", "tasks_reassigned"].map((field) => [field, sum(group, field)]));
    return { task_type, ...counts, rework_rate: rate("rework_rate", group), reassignment_rate: rate("reassignment_rate", group) };
  }).filter((row) => row.tasks_opened);
  const kinds = ["Reworked", "More than one assignee"];
  return {
    rows,
    columns: [["task_type", "Type", "text"], ["tasks_opened", "Opened", "count"], ["tasks_reworked", "Reworked", "count"], ["rework_rate", "Share", "rate"], ["tasks_reassigned", "More than one assignee", "count"], ["reassignment_rate", "Share", "rate"]],
    finding: `${shown("rate", rate("rework_rate", rows))} of all tasks were reworked.`,
    spec: {
      height: rows.length * 42,
      transform: [
        { fold: ["rework_rate", "reassignment_rate"], as: ["kind", "rate"] },
        { calculate: `datum.kind == 'rework_rate' ? '${kinds[0]}' : '${kinds[1]}'`, as: "what" },
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
