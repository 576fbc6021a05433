// One Plotly chart that keeps its node through all updates; live_plot.py sends the data and says why.
const charts = new WeakMap(); // Streamlit's element -> the chart in it
const waiting = new Map(); // key -> a chart whose element has just left the page
const NEAR = "300px 0px"; // beyond the window: a chart that comes into view has been drawn
let library;

// No module: see kept_files.py.
function loadPlotly(src) {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src, onload: () => resolve(globalThis.Plotly), onerror: () => reject(Error(src)) });
    document.head.append(script);
  }).catch((error) => {
    library = undefined; // to try again
    throw error;
  });
  return library;
}

// Parsed anew for each draw, because Plotly writes the reader's zoom into what it is given.
function readFigure(node, text) {
  const css = getComputedStyle(node);
  const value = (name) => css.getPropertyValue(name).trim();
  const figure = JSON.parse(text.replace(/var\((--st-[a-z-]+)\)/g, (_, name) => JSON.stringify(value(name)).slice(1, -1)));
  const colors = (kind) => value(`--st-chart-${kind}-colors`).split(",");
  const scale = (kind) => colors(kind).map((color, i, all) => [i / (all.length - 1), color]);
  const { layout, data } = figure.layout.template;
  layout.colorway = colors("categorical");
  layout.colorscale = { sequential: scale("sequential"), diverging: scale("diverging") };
  data.heatmap[0].colorscale = layout.colorscale.sequential;
  return figure;
}

const config = () => ({
  displaylogo: false,
  showTips: false,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]],
});

async function takeAway({ node, plot, note, data }) {
  try {
    (await import(new URL(data.takeAway, document.baseURI).href)).open(node, plot, data);
  } catch (error) {
    console.error(error);
    note.textContent = "The data could not be shown; try again.";
  }
}

const reserve = ({ node, data, room = 0 }) => parseInt((node.style.height = `${data.height + room}px`));

function create() {
  const [node, plot, note, button] = ["div", "div", "p", "button"].map((tag) => document.createElement(tag));
  const chart = { node, plot, note, button, calls: 0 };
  node.append(plot, note, button);
  node.style.position = "relative";
  note.style.cssText = "position: absolute; top: 0";
  plot.setAttribute("role", "img");
  Object.assign(button, { textContent: "Data", className: "take-away-button", onclick: () => takeAway(chart) });
  node.dataset.draws = 0;
  chart.observer = new ResizeObserver(() => "width" in chart && node.clientWidth !== chart.width && draw(chart));
  chart.observer.observe(node);
  return chart;
}

// Only what is in view is drawn, or updated: a long page would take seconds for charts that nobody looks at.
function mount(chart, parent) {
  parent.append(chart.node);
  chart.sight?.disconnect();
  const seen = (entries) => (chart.isNear = entries.at(-1).isIntersecting) && chart.wanted && draw(chart);
  const root = parent.closest("[data-testid=stMain]"); // what scrolls; a dialog lies outside of it
  chart.sight = new IntersectionObserver(seen, { root, rootMargin: NEAR });
  chart.sight.observe(chart.node);
}

function report(chart, { curveNumber: curve, pointNumber: point, x, y, z = null, customdata = null }) {
  if (ArrayBuffer.isView(customdata)) customdata = Array.from(customdata);
  const id = Date.now() + Math.random();
  if (chart.data.clickable) chart.send("click", { id, curve, point, x, y, z, customdata });
}

function reportZoom(chart, to) {
  const x = to["xaxis.autorange"] ? null : [to["xaxis.range[0]"], to["xaxis.range[1]"]];
  const is_zoom = x === null || x.every((end) => end !== undefined);
  if (chart.data.zoomable && is_zoom) chart.send("zoom", { id: Date.now() + Math.random(), x });
}

async function drawOnce(chart) {
  const { node, plot } = chart;
  const Plotly = await loadPlotly(chart.data.src);
  const width = (chart.width = node.clientWidth);
  if (!width) return; // hidden: the observer calls again once there is room
  const start = performance.now();
  const { data, layout } = readFigure(node, chart.data.figure);
  chart.room = fitTitle(node, layout, width - 64); // beside the button
  const height = reserve(chart);
  chart.config ??= config(); // kept: a new object would make Plotly start afresh
  await Plotly.react(plot, data, { uirevision: "kept", ...layout, width, height }, chart.config);
  if (!chart.drawn) {
    plot.on("plotly_click", ({ points }) => report(chart, points[0]));
    plot.on("plotly_relayout", (to) => reportZoom(chart, to));
    // While the button is down Plotly would forget the mark below it, and an update at that moment would lose the click.
    plot.on("plotly_beforehover", () => !plot._dragging);
  }
  chart.drawn = true;
  node.dataset.ms = (performance.now() - start).toFixed(1);
  node.dataset.draws = Number(node.dataset.draws) + 1;
}

async function draw(chart) {
  chart.wanted = true;
  if (chart.busy || !chart.isNear) return; // the draw in progress goes on with the newest data
  chart.busy = true;
  while (chart.wanted) {
    chart.wanted = false;
    try {
      await drawOnce(chart);
      chart.note.textContent = "";
    } catch (error) {
      console.error(error);
      chart.note.textContent = "This chart could not be drawn. The next update tries again; a reload may help.";
    }
  }
  chart.busy = false;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const { key, label } = data;
  const chart = charts.get(parentElement) ?? waiting.get(key) ?? create();
  waiting.delete(key);
  charts.set(parentElement, chart);
  if (chart.node.parentElement !== parentElement) mount(chart, parentElement);
  Object.assign(chart, { data, send: setTriggerValue });
  const call = (chart.calls += 1);
  reserve(chart); // before plotly.js has arrived
  chart.node.dataset.chart = key;
  chart.plot.setAttribute("aria-label", label);
  chart.button.setAttribute("aria-label", `Data and pictures: ${label}`);
  draw(chart);
  // Superseded calls clean up too: only the newest may end the chart. A full run that ends while a tick waits drops
  // elements for a moment, so the chart first waits for its key to return, zoom and all.
  const leave = (ends) => {
    if (call !== chart.calls || parentElement.isConnected) return;
    charts.delete(parentElement);
    waiting.set(key, chart);
    if (!ends) return setTimeout(leave, 5000, true);
    waiting.delete(key);
    chart.observer.disconnect();
    chart.sight.disconnect();
    if (chart.drawn) globalThis.Plotly.purge(chart.plot);
  };
  return () => setTimeout(leave);
}
