"use strict";
// A chart as a file: its numbers as CSV, its picture as SVG and PNG, named after what they show.

function save(name, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Name of a file: chart, filters and days, in letters that every system takes. */
function fileName(chart, ending) {
  const state = readState();
  const parts = [chart.section.id, ...choicesInWords().map(([, words]) => words), isoDay(state.from), isoDay(state.to)];
  return `${parts.map((part) => part.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60)).join("_")}.${ending}`;
}

/** The numbers of a chart, and in the last columns of each row what was chosen. */
function csv({ rows, columns }) {
  const state = readState();
  const choice = [["first_day", isoDay(state.from)], ["last_day", isoDay(state.to)], ...choicesInWords()];
  // A text that a spreadsheet would take for a formula gets an apostrophe before it.
  const inert = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? ""));
  const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const rounded = (value) => (typeof value === "number" ? Number(value.toPrecision(12)) : value);
  const lines = [
    [...columns, ...choice].map(([field]) => field),
    ...rows.map((row) => [...columns.map(([field]) => rounded(row[field])), ...choice.map(([, value]) => value)]),
  ];
  // The mark at its beginning tells Excel that it is UTF-8.
  return "\ufeff" + lines.map((line) => line.map((value) => quote(inert(value))).join(",") + "\r\n").join("");
}

/** The picture of a chart as an SVG that stands alone: colours as they are now, above it its title, below what happened. */
async function svg(chart) {
  const style = getComputedStyle(document.body);
  const title = chart.section.querySelector("h2").textContent;
  const drawn = new DOMParser().parseFromString(await chart.view.toSVG(), "image/svg+xml").documentElement;
  const [width, height] = ["width", "height"].map((name) => Math.ceil(Number(drawn.getAttribute(name))));
  const text = new XMLSerializer().serializeToString(drawn).replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  const happened = chart.result.spec.encoding?.x?.type === "temporal" ? annotations(readState()) : [];
  const escaped = (words) => words.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const line = (words, y, size) => `<text x="16" y="${y}" font-family="system-ui, sans-serif" font-size="${size}" fill="${style.color}">${escaped(words)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width + 32}" height="${height + 80 + 18 * happened.length}"><rect width="100%" height="100%" fill="${style.getPropertyValue("--card")}"/>`
    + line(title, 28, 16) + line(document.getElementById("shown").textContent, 48, 12) + `<g transform="translate(16 64)">${text}</g>`
    + happened.map((row, i) => line(`${row.number}. ${row.when}: ${isolated(row.annotation)}`, height + 88 + 18 * i, 12)).join("") + "</svg>";
}

async function png(chart) {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(await svg(chart))}`;
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * picture.width, height: 2 * picture.height });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done); });
}

/** The buttons of a chart. */
function offerFiles(chart) {
  const on = (kind, make) => chart.section.querySelector(`.${kind}`)?.addEventListener("click", async () => save(fileName(chart, kind), await make()));
  on("csv", () => new Blob([csv(chart.result)], { type: "text/csv;charset=utf-8" }));
  on("svg", async () => new Blob([await svg(chart)], { type: "image/svg+xml" }));
  on("png", () => png(chart));
}
