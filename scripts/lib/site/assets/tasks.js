"use strict";

const days = dataset("tasks_daily");
const times = dataset("task_times_daily");
const waits = dataset("task_waits_daily");

const types = levels([...groups(days, (row) => row.task_type)].map(([type, rows]) => ({ type, opened: sum(rows, "tasks_opened") })).sort((a, b) => b.opened - a.opened), "type");
fillChoices("type", [["Task type", types.map((type) => [type, type])]]);

const chosen = (rows, state) => rows.filter((row) => !state.type?.length || state.type.includes(row.task_type)).filter(within(state));
const byType = (rows) => [...groups(rows, (row) => row.task_type)].sort((a, b) => types.indexOf(a[0]) - types.indexOf(b[0]));

/** The goal's subject: one type, or all together; several have none. */
const subject = (state) => (state.type.length > 1 ? null : state.type[0] ?? "");

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
    opened: [sum(rows, "tasks_opened"), "in these days", "count", 0, goal("tasks_opened", subject(state), state)],
    completed: [completed.rate, completed.noteOf("so far"), "rate", null],
    open: [rows.length ? backlog(rows) : null, `open at the end of ${humanDay(isoDay(state.to))}`, "count", -1, goal("backlog", subject(state), state)],
    cycle: [percentile(cycles, 0.5), `90th percentile ${shown("duration", percentile(cycles, 0.9))}, ${precision(durations)}`, "duration", -1, null, "none was completed"],
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
        x: timeX(rows), y: { field: "tasks", type: "quantitative", axis: countAxis("y") },
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
    rows, goal: ["backlog", subject(state)],
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["backlog", "Open at its end", "count"]],
    finding: last && `${format.count(last.backlog)} open at the end, ${format.count(first.backlog)} after the first ${grain(state)}.`,
    spec: {
      mark: areaMark(rows, { color: "var(--pale)", line: { color: "var(--c0)" }, tooltip: true }),
      encoding: { x: timeX(rows), y: { field: "backlog", type: "quantitative", axis: countAxis("y") }, tooltip: tip(["when", grain(state)], ["backlog", "open at its end"]) },
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
  const x = (field) => ({ field, type: "quantitative", axis: measureAxis(unit[1]) });
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

chart("completion", (state) => {
  const rows = periods(chosen(days, state), state).map(([key, group]) => {
    const { whole, part, rate: value, note } = counted("completion_rate", group);
    return { period: key, when: humanDay(key), whole, part, value, note, text: shown("rate", value), is_complete: group.every((row) => row.is_complete || !row.tasks_opened) };
  }).filter((row) => row.whole);
  const over = rows.filter((row) => row.is_complete);
  return {
    rows, goal: ["completion_rate", subject(state)],
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["whole", "Opened", "count"], ["part", "Completed", "count"], ["value", "Rate", "rate"]],
    finding: over.length ? `${shown("rate", sum(over, "part") / sum(over, "whole"))} of those that had their time.` : "",
    spec: {
      encoding: { x: timeX(rows), tooltip: tip(["when", grain(state)], ["text", "completed"], ["note", "count"]) },
      layer: unfinishedLine(rows, { field: "value", type: "quantitative", axis: rateAxis }),
    },
  };
});

chart("waiting", (state) => {
  const all = chosen(waits, state);
  const rows = periods(all, state).map(([key, group]) => {
    const counts = addTimes(group);
    return { period: key, when: humanDay(key), tasks: counts.reduce((total, [, count]) => total + count, 0), p50: percentile(counts, 0.5), p90: percentile(counts, 0.9) };
  });
  const [length, name] = unitOf(Math.max(...rows.map((row) => row.p90)));
  const kinds = [["p50", "Median"], ["p90", "90th percentile"]];
  const drawn = rows.flatMap((row) => kinds.map(([field, kind]) => ({ ...row, kind, value: row[field] / length, text: shown("duration", row[field]) })));
  return {
    rows,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["tasks", "Tasks", "count"], ["p50", "Median", "duration"], ["p90", "90th percentile", "duration"]],
    finding: `Half wait ${shown("duration", percentile(addTimes(all), 0.5))} or less, one in ten more than ${shown("duration", percentile(addTimes(all), 0.9))} (${precision(all)}).`,
    spec: { data: { values: drawn }, ...lines(drawn, { kinds: kinds.map(([, kind]) => kind), axis: measureAxis(name), tooltip: tip(["when", grain(state)], ["kind", "what"], ["text", "time"], ["tasks", "tasks"]) }) },
  };
});

chart("spread", (state) => {
  const limits = [60, 600, 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 4 * 86400, 8 * 86400, 16 * 86400, Infinity];
  const names = limits.map((limit) => (limit === Infinity ? "longer" : `≤ ${format.duration(limit)}`));
  const rows = [["Waiting", waits], ["Work", times]].flatMap(([kind, all]) => {
    const found = addTimes(chosen(all, state));
    return names.map((name, i) => ({ kind, name, tasks: found.reduce((total, [time, count]) => total + (time <= limits[i] && time > (limits[i - 1] ?? -1) ? count : 0), 0) }));
  });
  const used = rows.filter((row) => row.tasks).map((row) => names.indexOf(row.name));
  const drawn = rows.filter((row) => names.indexOf(row.name) >= Math.min(...used) && names.indexOf(row.name) <= Math.max(...used));
  return {
    rows: drawn,
    columns: [["kind", "What", "text"], ["name", "Time", "text"], ["tasks", "Tasks", "count"]],
    finding: "",
    spec: {
      mark: { type: "bar", tooltip: true, cornerRadiusEnd: 2 },
      encoding: {
        x: { field: "name", type: "nominal", sort: names, axis: { title: null, labelAngle: -40, ticks: false } }, xOffset: { field: "kind", type: "nominal", sort: ["Waiting", "Work"] },
        y: { field: "tasks", type: "quantitative", axis: countAxis("y") }, color: series("kind", ["Waiting", "Work"]),
        tooltip: tip(["kind", "what"], ["name", "time"], ["tasks", "tasks"]),
      },
    },
  };
});

chart("assignees", (state) => {
  const rows = [...groups(dataset("task_assignees_daily").filter(within(state)), (row) => row.assignee)].map(([assignee, group]) => ({
    assignee, opened: sum(group, "tasks_opened"), open: sum(group, "tasks_open"), ...counted("completion_rate", group),
    wait: rate("seconds_of_waiting", group), work: rate("seconds_of_work", group),
  })).sort((a, b) => b.opened - a.opened).map((row) => ({ ...row, label: `${format.count(row.opened)} · ${shown("rate", row.rate)} · ${shown("duration", row.wait)}`, waited: shown("duration", row.wait), worked: shown("duration", row.work) }));
  return {
    rows,
    columns: [["assignee", "Assignee", "text"], ["opened", "Tasks", "count"], ["open", "Open", "count"], ["rate", "Completed", "rate"], ["wait", "Waiting, average", "duration"], ["work", "Work, average", "duration"]],
    finding: "Tasks, share completed, average waiting.",
    spec: countBars(rows, { name: "assignee", count: "opened", label: "label", tooltip: tip(["assignee", "assignee"], ["note", "completed"], ["open", "open"], ["waited", "average waiting"], ["worked", "average work"]) }),
  };
});

list("overdue", (state) => {
  const rows = dataset("tasks_overdue").filter((row) => !state.type.length || state.type.includes(row.task_type)).sort((a, b) => b.open_seconds - a.open_seconds)
    .map((row) => ({ ...row, opened: isoDay(row.opened_on), href: storyOf(row.user_key) }));
  const all = sum([...groups(rows, (row) => row.task_type).values()].map(([row]) => row), "tasks_overdue");
  return {
    rows,
    columns: [["user_key", "User", "text"], ["opened", "Opened", "date"], ["task_type", "Type", "text"], ["status", "Status", "name"], ["assignee", "Assignee", "text"], ["open_seconds", "Open for", "duration"], ["usual_seconds", "Nine in ten take", "duration"]],
    finding: `${format.count(all)} overdue.`,
  };
});

start();
