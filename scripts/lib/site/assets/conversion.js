"use strict";

const steps = groups(dataset("funnel_totals"), (row) => row.funnel);

fillSelect("funnel", [...steps.keys()].map((funnel) => [funnel, named(funnel)]));
fillChoices("segment", [...groups(dataset("segment_values"), (row) => row.segment)].map(([segment, rows]) => [
  named(segment), levels(rows, "segment_value").map((value) => [JSON.stringify([segment, value]), valued(value)]),
]));

const ofFunnel = (name, state) => dataset(name).filter(within(state));
const ofSegment = (state) => {
  const chosen = new Set(state.segment.length ? state.segment : ['["all","all"]']);
  return ofFunnel("conversion_daily", state).filter((row) => chosen.has(JSON.stringify([row.segment, row.segment_value])));
};

tiles((state) => {
  const rows = ofSegment(state);
  const sofar = counted("conversion_rate_so_far", rows);
  const over = counted("conversion_rate", rows);
  const aim = (metric) => (state.segment.length ? null : goal(metric, state.funnel, state));
  const durations = ofFunnel("conversion_times_daily", state);
  return {
    entered: [sofar.whole, "that began in these days", "count", 1, aim("attempts")],
    converted: [format.count(sofar.part), "at any time since"],
    rate: [over.rate, over.noteOf("that had all their time"), "rate", 1, aim("conversion_rate"), sofar.whole ? `${shown("rate", sofar.rate)} so far: none had all its time` : "no attempt began"],
    time: [percentile(addTimes(durations), 0.5), `${precision(durations)}, all segments`, "duration", -1, null, "none converted, in all segments"],
  };
});

chart("funnel", (state) => {
  const days = ofSegment(state);
  const reached = (index) => days.reduce((total, row) => total + row.reached[index], 0);
  const entered = sum(days, "attempts");
  const rows = !entered ? [] : steps.get(state.funnel).map(({ step: key }, index) => {
    const step = named(key);
    const counts = { entered, reached_previous: reached(Math.max(index - 1, 0)), reached: reached(index) };
    const row = { step, ...counts, step_rate: rate("step_rate", [counts]), overall_rate: rate("overall_rate", [counts]) };
    return { ...row, label: `${format.count(row.reached)} · ${format.rate(row.overall_rate)}`, of_previous: shown("rate", row.step_rate) };
  });
  const lost = (row) => row.reached_previous - row.reached;
  const worst = rows.slice(1).reduce((found, row) => (lost(row) > (found ? lost(found) : 0) ? row : found), null);
  const bar = { type: "bar", height: { band: 0.72 }, cornerRadiusEnd: 2, tooltip: true };
  const tooltip = tip(["step", "step"], ["label", "reached"], ["of_previous", "of the step before"]);
  const x = { type: "quantitative", scale: { domain: [0, entered * room(110)] }, axis: null };
  return {
    rows,
    columns: [["step", "Step", "text"], ["reached", "Attempts", "count"], ["step_rate", "Of the step before", "rate"], ["overall_rate", "Of all", "rate"]],
    finding: worst && `Most are lost before ${isolated(worst.step)}: ${format.count(lost(worst))}, ${format.rate(1 - worst.step_rate)} of those who came that far.`,
    spec: {
      height: rows.length * 36,
      encoding: { y: nameY("step", rows), tooltip },
      layer: [
        { mark: { ...bar, color: "var(--pale)", stroke: "var(--edge)" }, encoding: { x: { ...x, field: "reached_previous" } } },
        { mark: bar, encoding: { x: { ...x, field: "reached" } } },
        { mark: { type: "text", align: "left", dx: 6 }, encoding: { x: { ...x, field: "reached_previous" }, text: { field: "label" } } },
      ],
    },
  };
});

chart("cohorts", (state) => {
  const days = ofSegment(state);
  const complete = counted("conversion_rate", days);
  const aim = state.segment.length ? null : ["conversion_rate", state.funnel];
  const rows = [...groups(days, (row) => period(state, row.day))].sort().map(([key, group]) => {
    const is_complete = group.every((day) => day.is_complete);
    return { period: key, ...counted("conversion_rate_so_far", group), is_complete, over: is_complete ? "yes" : "no", when: humanDay(key) };
  }).map((row) => ({ ...row, share: `${shown("rate", row.rate)}${row.is_complete ? "" : " so far"}` }));
  return {
    rows, goal: aim,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["whole", "Attempts", "count"], ["part", "Converted", "count"], ["rate", "Rate", "rate"], ["over", "Had all its time", "text"]],
    finding: complete.whole ? `${complete.count} attempts that had all their time converted (${format.rate(complete.rate)}).` : "No attempt has had all its time yet.",
    spec: {
      encoding: { x: timeX(rows), tooltip: tip(["when", grain(state)], ["share", "converted"], ["note", "attempts"]) },
      layer: unfinishedLine(rows, { field: "rate", type: "quantitative", axis: rateAxis, scale: { domain: [0, Math.max(...rows.map((row) => row.rate), (aim && goal(...aim, state)?.target) ?? 0.01)], nice: true } }),
    },
  };
});

chart("times", (state) => {
  const durations = ofFunnel("conversion_times_daily", state);
  const known = addTimes(durations);
  // Two bars to each doubling; the view rounds no time across their bounds.
  const bars = groups(known.map(([seconds, count]) => ({ bin: Math.floor(2 * Math.log2(Math.max(seconds, 1))), count })), (row) => row.bin);
  const rows = [...bars].map(([bin, group]) => {
    const row = { from_seconds: 2 ** (bin / 2), to_seconds: 2 ** ((bin + 1) / 2), conversions: sum(group, "count") };
    return { ...row, label: `${format.duration(row.from_seconds)} to ${format.duration(row.to_seconds)}` };
  });
  const marks = [["half", 0.5], ["90 %", 0.9]].map(([name, share]) => ({ seconds: percentile(known, share), name }));
  const ticks = [1, 60, 600, 3600, 21600, 86400, 259200, 604800, 1209600, 2592000, 7776000, 31536000];
  const names = "{1:'1 s',60:'1 min',600:'10 min',3600:'1 h',21600:'6 h',86400:'1 day',259200:'3 days',604800:'7 days',1209600:'14 days',2592000:'30 days',7776000:'90 days',31536000:'1 year'}";
  const x = { type: "quantitative", scale: { type: "log", nice: false }, axis: { title: null, grid: false, values: ticks, labelExpr: `${names}[datum.value]`, labelOverlap: true } };
  return {
    rows,
    columns: [["from_seconds", "From", "duration"], ["to_seconds", "To", "duration"], ["conversions", "Conversions", "count"]],
    finding: `The median is ${shown("duration", marks[0].seconds)}, the 90th percentile ${shown("duration", marks[1].seconds)} (${precision(durations)}).`,
    spec: {
      layer: [
        {
          mark: { type: "bar", tooltip: true, x2Offset: -1 },
          encoding: { x: { ...x, field: "from_seconds" }, x2: { field: "to_seconds" }, y: { field: "conversions", type: "quantitative", axis: countAxis("y") }, y2: { datum: 0 }, tooltip: tip(["label", "time"], ["conversions", "conversions"]) },
        },
        { data: { values: marks }, mark: { type: "rule", color: "var(--ink)", strokeDash: [4, 3] }, encoding: { x: { ...x, field: "seconds" } } },
      ],
    },
  };
});

chart("segments", (state) => {
  const cut = ofFunnel("conversion_daily", state).filter((row) => row.segment !== "all");
  const rows = [...groups(cut, (row) => `${isolated(named(row.segment))}: ${isolated(valued(row.segment_value))}`)].map(([name, group]) => {
    const { segment, segment_value } = group[0];
    return { name, segment, segment_value, ...counted("conversion_rate", group) };
  }).filter((row) => row.whole).sort((a, b) => a.segment.localeCompare(b.segment) || b.rate - a.rate);
  return {
    rows,
    columns: [["segment", "Segment", "text"], ["segment_value", "Value", "value"], ["whole", "Attempts", "count"], ["part", "Converted", "count"], ["rate", "Rate", "rate"], ["low", "Interval from", "rate"], ["high", "to", "rate"]],
    spec: rateBars(rows, { name: "name", tooltip: tip(["name", "segment"]), color: { field: "segment", type: "nominal", legend: null } }),
  };
});

chart("attribution", (state) => {
  const rules = levels([...dataset("attribution_daily")].sort((a, b) => a.rule_order - b.rule_order), "rule");
  const [most] = rules;
  const credit = (rows, rule) => Math.round(sum(rows.filter((row) => row.rule === rule), "conversions") * 1e4) / 1e4;
  const rows = [...groups(ofFunnel("attribution_daily", state), (row) => row.traffic_source)]
    .map(([traffic_source, group]) => ({ traffic_source, ...Object.fromEntries(rules.map((rule) => [rule, credit(group, rule)])) }))
    .sort((a, b) => b[most] - a[most]);
  const top = rows[0];
  return {
    rows,
    columns: [["traffic_source", "Source", "text"], ...rules.map((rule) => [rule, rule, "count"])],
    finding: top && `${isolated(top.traffic_source)} brought most: ${format.count(top[most])} of ${format.count(sum(rows, most))} conversions by the rule ${most.toLowerCase()}.`,
    spec: {
      height: rows.length * 62,
      transform: [{ fold: rules, as: ["rule", "conversions"] }],
      mark: { type: "bar", tooltip: true, cornerRadiusEnd: 2 },
      encoding: {
        y: nameY("traffic_source", rows), yOffset: { field: "rule", type: "nominal", sort: rules },
        x: { field: "conversions", type: "quantitative", axis: countAxis("x", { domain: false }) },
        color: series("rule", rules),
        tooltip: [...tip(["traffic_source", "source"], ["rule", "rule"]), { field: "conversions", type: "quantitative", format: ",.1f", title: "conversions" }],
      },
    },
  };
});

chart("outcomes", (state) => {
  const rows = ofFunnel("outcomes_daily", state);
  const all = [...groups(rows, (row) => row.outcome)].map(([outcome, group]) => {
    const [attempts, share] = [sum(group, "attempts"), sum(group, "attempts") / sum(rows, "attempts")];
    return { outcome: named(outcome), attempts, share, label: `${format.rate(share)} · ${format.count(attempts)}` };
  }).sort((a, b) => b.attempts - a.attempts);
  return {
    rows: all,
    columns: [["outcome", "Outcome", "text"], ["attempts", "Attempts", "count"], ["share", "Share", "rate"]],
    finding: all.length && `${isolated(all[0].outcome)} is the most frequent, ${format.rate(all[0].share)}.`,
    spec: countBars(all, { name: "outcome", count: "attempts", label: "label", tooltip: tip(["outcome", "outcome"], ["label", "attempts"]) }),
  };
});

start();
