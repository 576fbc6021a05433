// What a reader can take away from a chart: the numbers that are drawn, as a table and as CSV, and the
// chart as PNG or SVG. Pages load this file when somebody asks for it; offline reports have it inside.

const MOST_ROWS = 200; // shown; the CSV has all
const ARRAYS = {
  i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array,
  f4: Float32Array, f8: Float64Array,
};

// Plotly renders some HTML in texts.
function plain(text) {
  const holder = document.createElement("template");
  holder.innerHTML = String(text ?? "").replace(/<br\s*\/?>/gi, " ").replace(/<sub>/g, "_");
  return holder.content.textContent.replace(/\s+/g, " ").trim();
}

const isList = (value) => Array.isArray(value) || ArrayBuffer.isView(value) || Boolean(value?.bdata);

// The shortest number that means this float32: 0.1, not 0.10000000149011612.
function shortest(value) {
  for (let digits = 6; digits < 9; digits += 1) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return text;
  }
  return Number(value.toPrecision(9));
}

// A list, a typed array, or what Plotly's JSON has in its place: base64 with a dtype and a shape.
function values(given) {
  if (!isList(given)) return [];
  if (Array.isArray(given)) return given;
  const array = given.bdata
    ? new ARRAYS[given.dtype](Uint8Array.from(atob(given.bdata), (one) => one.charCodeAt(0)).buffer)
    : given;
  const flat = Array.from(array, array instanceof Float32Array ? shortest : undefined);
  const shape = String(given.shape ?? "").split(",").map(Number);
  if (shape.length < 2) return flat;
  return Array.from({ length: shape[0] }, (_, row) => flat.slice(row * shape[1], (row + 1) * shape[1]));
}

const isEmpty = (value) => value === null || value === undefined || Number.isNaN(value) || value === "";
const layoutAxis = (layout, id) => layout[`${id[0]}axis${id.slice(1)}`] ?? {};
const titleOf = (axis) => axis.title?.text ?? (typeof axis.title === "string" ? axis.title : "");

// The first line of the axis's title, or what the figure's meta says: null for places that are no numbers. An inner
// panel has no title: then that of another panel.
function nameOf(layout, id) {
  const letter = id[0];
  const said = layout.meta?.columns?.[letter];
  if (said === null) return null;
  const own = said ?? titleOf(layoutAxis(layout, id));
  const others = Object.keys(layout).filter((key) => key.startsWith(`${letter}axis`)).sort();
  const title = own || others.map((key) => titleOf(layout[key])).find(Boolean)
    || (isList(layoutAxis(layout, id).ticktext) ? "name" : letter);
  return plain(String(title).split(/<br\s*\/?>/i)[0]) || letter;
}

// Where the marks stand at the places 0, 1, 2, ... that have names, as in a forest plot, the names are meant.
function named(axis, places) {
  const texts = values(axis.ticktext);
  const hasNames = texts.length && values(axis.tickvals).every((tick, place) => tick === place);
  return hasNames && places.every((place) => texts[place]) ? places.map((place) => plain(texts[place])) : places;
}

// The title of the panel that a trace is in: the note at the middle of its upper edge.
function panelOf(layout, x, y) {
  const across = layoutAxis(layout, x).domain;
  const up = layoutAxis(layout, y).domain;
  if (!across || !up) return "";
  const near = (a, b) => Math.abs(a - b) < 1e-6;
  const note = (layout.annotations ?? []).find((one) => one.xref === "paper" && one.yref === "paper"
    && near(one.x, (across[0] + across[1]) / 2) && near(one.y, up[1]));
  return plain(note?.text);
}

const spaced = (trace, letter, n) =>
  Array.from({ length: n }, (_, i) => (trace[`${letter}0`] ?? 0) + i * (trace[`d${letter}`] ?? 1));

// The columns of one trace: [[name, values], ...], all of one length.
function columnsOf(trace, layout) {
  const [x, y] = [trace.xaxis ?? "x", trace.yaxis ?? "y"];
  const axes = { x: layoutAxis(layout, x), y: layoutAxis(layout, y) };
  const names = { x: nameOf(layout, x), y: nameOf(layout, y) };
  if (trace.type === "heatmap") {
    const cells = values(trace.z);
    const n = cells[0]?.length ?? 0;
    const at = { x: isList(trace.x) ? values(trace.x) : spaced(trace, "x", n) };
    at.y = isList(trace.y) ? values(trace.y) : spaced(trace, "y", cells.length);
    const { times = 1, power = 1 } = trace.meta ?? {}; // of a map that is sent as bytes
    const name = plain(layout.meta?.columns?.z ?? titleOf(trace.colorbar ?? {})) || "z";
    const words = values(trace.text).flat().map(plain); // what a cell says, where its number is that of a colour
    const facts = values(trace.customdata).flat(); // of each cell; where they are named, they say all
    const told = (trace.meta?.customdata ?? []).map((one, place) => [one, facts.map((cell) => cell?.[place])]);
    const flat = cells.flat();
    const columns = told.length ? told : [
      [names.x, cells.flatMap(() => named(axes.x, at.x))],
      [names.y, named(axes.y, at.y).flatMap((one) => Array(n).fill(one))],
      [name, flat.map((one) => (isEmpty(one) ? null : shortest(Math.fround(times * one ** power))))],
      ...(words.length ? [["label", words]] : []),
    ];
    return columns.map(([title, list]) => [title, list.filter((_, i) => !isEmpty(flat[i]))]);
  }
  const n = Math.max(values(trace.x).length, values(trace.y).length);
  const places = { x: isList(trace.x) ? values(trace.x) : spaced(trace, "x", n) };
  places.y = isList(trace.y) ? values(trace.y) : spaced(trace, "y", n);
  const isGap = Array.from({ length: n }, (_, i) => isEmpty(places.x[i]) && isEmpty(places.y[i]));
  const columns = ["x", "y"].filter((letter) => axes[letter].visible !== false && names[letter] !== null)
    .map((letter) => [names[letter], named(axes[letter], places[letter])]);
  for (const letter of ["x", "y"]) {
    const bars = trace[`error_${letter}`] ?? {};
    const [up, down] = [values(bars.array), values(bars.arrayminus)];
    if (up.length) columns.push([`${names[letter]}: ${down.length ? "up to" : "±"}`, up]);
    if (down.length) columns.push([`${names[letter]}: down to`, down]);
    if (down.length) { // lengths of the whiskers: their ends are what is seen
      const middle = places[letter];
      columns.at(-2)[1] = up.map((by, i) => middle[i] + by);
      columns.at(-1)[1] = down.map((by, i) => middle[i] - by);
    }
  }
  const extra = values(trace.customdata);
  const rest = Array.isArray(extra[0]) ? extra : extra.map((one) => [one]);
  (trace.meta?.customdata ?? []).forEach((name, place) => {
    if (name) columns.push([name, rest.map((row) => row[place])]);
  });
  const texts = values(trace.text);
  if (texts.length && columns.every(([name]) => name !== "label")) {
    columns.push(["label", texts.map((text) => plain(text).replace(/^, /, ""))]);
  }
  return columns.map(([name, list]) => [name, isGap.flatMap((gap, i) => (gap ? [] : [list[i]]))]);
}

// { columns: names, rows: lists } of a figure { data, layout }: a row for each mark that is drawn.
export function table({ data, layout }) {
  // Pictures, and signs of what another trace says, are no numbers: their meta has "table": false.
  const shown = data.filter((trace) => trace.visible !== false && trace.meta?.table !== false);
  const parts = shown.map((trace) => ({
    panel: panelOf(layout, trace.xaxis ?? "x", trace.yaxis ?? "y"),
    series: plain(trace.name ?? trace.legendgroup),
    columns: columnsOf(trace, layout),
  })).filter(({ columns }) => columns.some(([, list]) => !list.every(isEmpty)));
  const columns = ["panel", "series"].filter((name) => parts.length > 1 && parts.some((part) => part[name]));
  const leading = columns.length;
  for (const part of parts) {
    for (const [name] of part.columns) if (!columns.includes(name)) columns.push(name);
  }
  const rows = parts.flatMap((part) => {
    const lists = new Map(part.columns);
    const n = part.columns[0]?.[1].length ?? 0;
    return Array.from({ length: n }, (_, i) => columns.map((name, place) => {
      const value = place < leading ? part[name] : lists.get(name)?.[i];
      return isEmpty(value) ? null : value;
    }));
  });
  return { columns, rows };
}

export function csv({ columns, rows }) {
  const cell = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function element(tag, text, parent, more = {}) {
  const one = Object.assign(document.createElement(tag), more);
  one.textContent = text;
  parent?.append(one);
  return one;
}

function save(text, name) {
  const link = element("a", "", null, { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function drawTable({ columns, rows }, parent) {
  const box = element("div", "", parent, { className: "take-away-table", tabIndex: 0 });
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "The numbers of the chart");
  const drawn = element("table", "", box);
  const head = element("tr", "", element("thead", "", drawn));
  columns.forEach((name) => element("th", name, head, { scope: "col" }));
  const body = element("tbody", "", drawn);
  const shown = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))) : value ?? "");
  for (const row of rows.slice(0, MOST_ROWS)) {
    const line = element("tr", "", body);
    row.forEach((value) => element("td", shown(value), line));
  }
}

const LOOK = { // of the dialog -> a colour or font of the page, and what a page without it has
  paper: ["--st-background-color", "#fff"],
  ink: ["--st-text-color", "#222"],
  line: ["--st-border-color", "#ccc"],
  face: ["--st-font", "system-ui, sans-serif"],
};
const STYLE = `
.take-away { width: min(760px, 94vw); max-height: 86vh; padding: 1rem 1.2rem; border-radius: 8px;
  border: 1px solid var(--line); background: var(--paper); color: var(--ink); font: 14px/1.45 var(--face); box-sizing: border-box; }
.take-away[open] { display: flex; flex-direction: column; gap: .7rem; }
.take-away::backdrop { background: rgba(0, 0, 0, .35); }
.take-away h2 { font: 600 16px/1.3 var(--face); margin: 0; padding: 0; color: inherit; overflow-wrap: anywhere; }
.take-away p { margin: 0; opacity: .85; }
.take-away-buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
.take-away button { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line);
  border-radius: 6px; padding: .3rem .7rem; cursor: pointer; }
.take-away button:hover { border-color: currentColor; }
.take-away-table { overflow: auto; min-height: 8rem; border: 1px solid var(--line); border-radius: 6px; }
.take-away table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
.take-away th { position: sticky; top: 0; background: var(--paper); text-align: left; font-weight: 600; }
.take-away th, .take-away td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
`;

// A picture is drawn without the page, so without the page's fonts: texts are measured in the font that they are drawn
// in, or a legend would be cut. It is wider than most, so the picture is wider than the chart.
const FACE = "Arial, sans-serif";
const WIDER = 1.15;
const isPlain = (value) => Boolean(value) && Object.getPrototypeOf(value) === Object.prototype;
const inFace = (part) => {
  if (Array.isArray(part)) return part.map(inFace);
  return !isPlain(part) ? part
    : Object.fromEntries(Object.entries(part).map(([name, value]) => [name, name === "family" ? FACE : inFace(value)]));
};
function picture(plot, format, filename) {
  const [width, height] = ["width", "height"].map((name) => plot._fullLayout[name]);
  const layout = { ...inFace(plot.layout), font: { ...inFace(plot.layout.font), family: FACE } };
  globalThis.Plotly.downloadImage({ data: plot.data, layout },
    { format, filename, width: Math.ceil(WIDER * width), height, scale: format === "png" ? 2 : 1 });
}

// Shows what can be taken away of a chart. The numbers stand still while the chart goes on.
// node: has the colours of the page; plot: Plotly's node in it. figure: { data, layout } as it is drawn now, or its
// JSON. label: what the chart is called. filename: of what is downloaded, without its ending.
export function open(node, plot, { figure, label, filename }) {
  const numbers = table(typeof figure === "string" ? JSON.parse(figure) : figure);
  if (document.querySelector(".take-away")) return; // a second click, before the first was answered
  const dialog = element("dialog", "", document.body, { className: "take-away" });
  const css = getComputedStyle(node);
  for (const [name, [theirs, otherwise]] of Object.entries(LOOK)) {
    dialog.style.setProperty(`--${name}`, css.getPropertyValue(theirs) || otherwise);
  }
  element("style", STYLE, dialog);
  const heading = element("h2", label, dialog, { id: `take-away-${Date.now()}` });
  dialog.setAttribute("aria-labelledby", heading.id);
  const buttons = element("div", "", dialog, { className: "take-away-buttons" });
  const act = (text, call) => element("button", text, buttons, { type: "button", onclick: call });
  act("Download CSV", () => save(csv(numbers), `${filename}.csv`));
  act("Download PNG", () => picture(plot, "png", filename));
  act("Download SVG", () => picture(plot, "svg", filename));
  act("Close", () => dialog.close());
  const n = numbers.rows.length;
  const all = `${n.toLocaleString("en")} row${n === 1 ? "" : "s"}`;
  element("p", n > MOST_ROWS ? `The first ${MOST_ROWS} of ${all}; the CSV has all.` : all, dialog);
  drawTable(numbers, dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", ({ target, clientX: x, clientY: y }) => { // beside it
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    if (target === dialog && (x < left || x > right || y < top || y > bottom)) dialog.close();
  });
  dialog.showModal();
}
