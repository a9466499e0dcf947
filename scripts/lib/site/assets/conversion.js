"use strict";

const steps = groups(dataset("funnels"), (row) => row.funnel);
const attempts = dataset("funnel_days");
const times = dataset("conversion_times");
const credits = dataset("attribution");
const cohorts = dataset("retention");

fillSelect("funnel", [...steps.keys()].map((funnel) => [funnel, funnel]));
fillSelect("segment", [
  [JSON.stringify(["all", "all"]), "All attempts"],
  ...[...groups(attempts.filter((row) => row.segment !== "all"), (row) => row.segment)].map(([segment, rows]) => [
    segment, levels(rows, "segment_value").map((value) => [JSON.stringify([segment, value]), `${segment}: ${value}`]),
  ]),
]);

const ofFunnel = (rows, state) => rows.filter((row) => row.funnel === state.funnel).filter(within(state));
const ofSegment = (rows, state) =>
  ofFunnel(rows, state).filter((row) => row.segment === state.segment && row.segment_value === state.segmentValue);
const entered = (rows) => rows.reduce((total, row) => total + row.reached[0], 0);
const converted = (rows) => rows.reduce((total, row) => total + row.reached.at(-1), 0);
/** Attempts that had all of their time, or have no limit. */
const finished = (rows) => rows.filter((row) => row.is_complete !== false);
const outOf = (rows) => `${format.count(converted(rows))} of ${format.count(entered(rows))}`;

tiles((state) => {
  const rows = ofSegment(attempts, state);
  const bins = addBins(ofFunnel(times, state));
  return {
    entered: [format.count(entered(rows)), "that began in these days"],
    converted: [format.count(converted(rows)), "at any time since"],
    rate: [shown("rate", converted(finished(rows)) / entered(finished(rows))), "of those that had all their time"],
    time: [shown("duration", quantile(bins, 0.5)), "about, all segments"],
  };
});

chart("funnel", (state) => {
  const days = ofSegment(attempts, state);
  const reached = (index) => days.reduce((total, row) => total + row.reached[index], 0);
  const rows = !entered(days) ? [] : steps.get(state.funnel).map(({ step }, index) => {
    const previous = reached(Math.max(index - 1, 0));
    const row = { step, reached: reached(index), previous, step_rate: previous ? reached(index) / previous : null, overall_rate: reached(index) / reached(0) };
    return { ...row, label: `${format.count(row.reached)} · ${format.rate(row.overall_rate)}`, of_previous: shown("rate", row.step_rate) };
  });
  const lost = (row) => row.previous - row.reached;
  const worst = rows.slice(1).reduce((found, row) => (lost(row) > (found ? lost(found) : 0) ? row : found), null);
  const bar = { type: "bar", height: { band: 0.72 }, cornerRadiusEnd: 2, tooltip: true };
  const tooltip = tip(["step", "step"], ["label", "reached"], ["of_previous", "of the step before"]);
  const x = { type: "quantitative", scale: { domain: [0, entered(days) * room(110)] }, axis: null };
  return {
    rows,
    columns: [["step", "Step", "text"], ["reached", "Attempts", "count"], ["step_rate", "Of the step before", "rate"], ["overall_rate", "Of all", "rate"]],
    finding: worst && `Most are lost before ${worst.step}: ${format.count(lost(worst))}, ${format.rate(1 - worst.step_rate)} of those who came that far.`,
    spec: {
      height: rows.length * 36,
      encoding: { y: nameY("step", rows), tooltip },
      layer: [
        { mark: { ...bar, color: "var(--pale)" }, encoding: { x: { ...x, field: "previous" } } },
        { mark: bar, encoding: { x: { ...x, field: "reached" } } },
        { mark: { type: "text", align: "left", dx: 6 }, encoding: { x: { ...x, field: "previous" }, text: { field: "label" } } },
      ],
    },
  };
});

chart("cohorts", (state) => {
  const days = ofSegment(attempts, state);
  const rows = [...groups(days, (row) => period(state, row.day))].sort().map(([key, group]) => {
    const row = { period: key, entered: entered(group), converted: converted(group), rate: converted(group) / entered(group) };
    return { ...row, when: humanDay(key), share: format.rate(row.rate), count: outOf(group) };
  });
  return {
    rows,
    columns: [["period", `First day of the ${grain(state)}`, "date"], ["entered", "Attempts", "count"], ["converted", "Converted", "count"], ["rate", "Rate", "rate"]],
    finding: entered(finished(days)) ? `${outOf(finished(days))} attempts that had all their time converted (${format.rate(converted(finished(days)) / entered(finished(days)))}).` : "No attempt has had all its time yet.",
    spec: {
      encoding: { x: timeX(rows), y: { field: "rate", type: "quantitative", axis: rateAxis, scale: { domainMin: 0 } }, tooltip: tip(["when", grain(state)], ["share", "converted"], ["count", "attempts"]) },
      mark: { type: "line", point: true, tooltip: true },
    },
  };
});

chart("times", (state) => {
  const bins = addBins(ofFunnel(times, state));
  const coarse = groups([...bins].map(([bin, count]) => ({ bin: Math.floor(bin / 2), count })), (row) => row.bin);
  const rows = [...coarse].sort((a, b) => a[0] - b[0]).map(([bin, group]) => {
    const row = { from_seconds: 2 ** (bin / 2), to_seconds: 2 ** ((bin + 1) / 2), conversions: sum(group, "count") };
    return { ...row, label: `${format.duration(row.from_seconds)} to ${format.duration(row.to_seconds)}` };
  });
  const marks = [["half", 0.5], ["90 %", 0.9]].map(([name, share]) => ({ seconds: quantile(bins, share), name: `${name}: ${shown("duration", quantile(bins, share))}` }));
  const ticks = [1, 60, 600, 3600, 21600, 86400, 259200, 604800, 1209600, 2592000, 7776000, 31536000];
  const names = "{1:'1 s',60:'1 min',600:'10 min',3600:'1 h',21600:'6 h',86400:'1 day',259200:'3 days',604800:'7 days',1209600:'14 days',2592000:'30 days',7776000:'90 days',31536000:'1 year'}";
  const x = { type: "quantitative", scale: { type: "log", nice: false }, axis: { title: null, grid: false, values: ticks, labelExpr: `${names}[datum.value]`, labelOverlap: true } };
  return {
    rows,
    columns: [["from_seconds", "From", "duration"], ["to_seconds", "To", "duration"], ["conversions", "Conversions", "count"]],
    finding: `Half of the conversions took at most about ${shown("duration", marks[0].seconds)}, 90 % at most about ${shown("duration", marks[1].seconds)}.`,
    spec: {
      layer: [
        {
          mark: { type: "bar", tooltip: true, x2Offset: -1 },
          encoding: { x: { ...x, field: "from_seconds" }, x2: { field: "to_seconds" }, y: { field: "conversions", type: "quantitative", axis: countAxis }, y2: { datum: 0 }, tooltip: tip(["label", "time"], ["conversions", "conversions"]) },
        },
        { data: { values: marks }, mark: { type: "rule", color: "var(--ink)", strokeDash: [4, 3] }, encoding: { x: { ...x, field: "seconds" } } },
      ],
    },
  };
});

chart("segments", (state) => {
  const cut = ofFunnel(attempts, state).filter((row) => row.segment !== "all");
  const rows = [...groups(cut, (row) => `${row.segment}: ${row.segment_value}`)].map(([name, group]) => {
    const { segment, segment_value } = group[0];
    const row = { name, segment, segment_value, entered: entered(group), converted: converted(group), rate: converted(group) / entered(group) };
    return { ...row, label: format.rate(row.rate), count: outOf(group) };
  }).sort((a, b) => a.segment.localeCompare(b.segment) || b.rate - a.rate);
  return {
    rows,
    columns: [["segment", "Segment", "text"], ["segment_value", "Value", "text"], ["entered", "Attempts", "count"], ["converted", "Converted", "count"], ["rate", "Rate", "rate"]],
    spec: rateBars(rows, { name: "name", rate: "rate", label: "label", tooltip: tip(["name", "segment"], ["label", "converted"], ["count", "attempts"]), color: { field: "segment", type: "nominal", legend: null } }),
  };
});

chart("attribution", (state) => {
  const rules = [["last_non_direct", "Last non-direct"], ["last_touch", "Last touch"], ["first_touch", "First touch"], ["linear", "Linear"], ["position_based", "Position-based"], ["time_decay", "Time decay"]];
  const sources = [...groups(ofFunnel(credits, state), (row) => row.traffic_source)].map(([traffic_source, group]) =>
    ({ traffic_source, ...Object.fromEntries(rules.map(([field]) => [field, Math.round(sum(group, field) * 1e4) / 1e4])) }));
  const rows = sources.sort((a, b) => b.last_non_direct - a.last_non_direct);
  const top = rows[0];
  return {
    rows,
    columns: [["traffic_source", "Source", "text"], ...rules.map(([field, title]) => [field, title, "count"])],
    finding: top && `${top.traffic_source} brought most: ${format.count(top.last_non_direct)} of ${format.count(sum(rows, "last_non_direct"))} conversions by the last visit that was not direct.`,
    spec: {
      height: rows.length * 80,
      transform: [{ fold: rules.map(([field]) => field), as: ["rule", "conversions"] }, { calculate: `${JSON.stringify(Object.fromEntries(rules))}[datum.rule]`, as: "rule_name" }],
      mark: { type: "bar", tooltip: true, cornerRadiusEnd: 2 },
      encoding: {
        y: nameY("traffic_source", rows), yOffset: { field: "rule_name", type: "nominal", sort: rules.map(([, title]) => title) },
        x: { field: "conversions", type: "quantitative", axis: { ...countAxis, domain: false } },
        color: series("rule_name", rules.map(([, title]) => title)),
        tooltip: [...tip(["traffic_source", "source"], ["rule_name", "rule"]), { field: "conversions", type: "quantitative", format: ",.1f", title: "conversions" }],
      },
    },
  };
});

chart("retention", (state) => {
  const rows = cohorts.filter((row) => row.day >= state.from - 6 && row.day <= state.to).map((row) => {
    const rate = row.users_active / row.cohort_users;
    return { cohort_week: isoDay(row.day), ...row, rate, week: humanDay(isoDay(row.day)).slice(0, -5), label: (100 * rate).toFixed(0), share: format.rate(rate), count: `${format.count(row.users_active)} of ${format.count(row.cohort_users)}` };
  });
  const weeks = levels(rows, "weeks_since").length;
  return {
    rows,
    columns: [["cohort_week", "First active in the week of", "date"], ["weeks_since", "Weeks since", "count"], ["cohort_users", "Users", "count"], ["users_active", "Active", "count"], ["rate", "Rate", "rate"]],
    spec: heatMap({
      x: { field: "weeks_since", type: "ordinal", axis: { title: "weeks since", labelAngle: 0, domain: false, ticks: false, labelOverlap: true } },
      y: { field: "week", type: "nominal", sort: levels(rows, "week"), axis: { title: null, domain: false, ticks: false, labelOverlap: true } },
      depth: "rate", label: "label", cells: weeks + 2, height: Math.min(levels(rows, "week").length * 24, 420),
      tooltip: tip(["week", "first active"], ["weeks_since", "weeks since"], ["share", "active"], ["count", "users"]),
    }),
  };
});

start();
