// One Plotly chart that keeps its node through all updates; live_plot.py sends the data and says why.
const charts = new WeakMap(); // Streamlit's element -> the chart in it
let library;
let failures = 0;

function loadPlotly(src) {
  // A browser may remember a failed import by its address, so each new try has its own.
  const url = new URL(failures ? `${src}?try=${failures}` : src, document.baseURI).href;
  library ??= import(url).then(() => globalThis.Plotly).catch((error) => {
    library = undefined;
    failures += 1;
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

function config(Plotly, filename) {
  const click = (plot) => Plotly.downloadImage(plot, { format: "svg", filename });
  const svg = { name: "svg", title: "Download plot as an SVG", icon: Plotly.Icons.disk, click };
  return {
    displaylogo: false,
    showTips: false,
    toImageButtonOptions: { filename, scale: 2 },
    modeBarButtons: [["toImage", svg], ["zoom2d", "pan2d", "resetScale2d"]],
  };
}

function create(parent) {
  const add = (to, tag) => to.appendChild(document.createElement(tag));
  const node = add(parent, "div");
  const chart = { node, plot: add(node, "div"), note: add(node, "p"), calls: 0 };
  node.style.position = "relative";
  chart.note.style.cssText = "position: absolute; top: 0";
  node.setAttribute("role", "img");
  node.dataset.draws = 0;
  chart.observer = new ResizeObserver(() => "width" in chart && node.clientWidth !== chart.width && draw(chart));
  chart.observer.observe(node);
  return chart;
}

function report(chart, { curveNumber: curve, pointNumber: point, x, y, z = null, customdata = null }) {
  if (ArrayBuffer.isView(customdata)) customdata = Array.from(customdata);
  const id = Date.now() + Math.random();
  if (chart.data.clickable) chart.send("click", { id, curve, point, x, y, z, customdata });
}

async function drawOnce(chart) {
  const { node, plot } = chart;
  const Plotly = await loadPlotly(chart.data.src);
  const { figure, height, filename } = chart.data;
  const width = (chart.width = node.clientWidth);
  if (!width) return; // hidden: the observer calls again once there is room
  const start = performance.now();
  const { data, layout } = readFigure(node, figure);
  chart.config ??= config(Plotly, filename); // kept: a new object would make Plotly start afresh
  await Plotly.react(plot, data, { uirevision: "kept", ...layout, width, height }, chart.config);
  if (!chart.drawn) {
    plot.on("plotly_click", ({ points }) => report(chart, points[0]));
    // While the button is down Plotly would forget the mark below it, and an update at that moment would lose the click.
    plot.on("plotly_beforehover", () => !plot._dragging);
  }
  chart.drawn = true;
  node.dataset.ms = (performance.now() - start).toFixed(1);
  node.dataset.draws = Number(node.dataset.draws) + 1;
}

async function draw(chart) {
  chart.wanted = true;
  if (chart.busy) return; // the draw in progress goes on with the newest data
  chart.busy = true;
  while (chart.wanted) {
    chart.wanted = false;
    try {
      await drawOnce(chart);
      chart.note.textContent = "";
    } catch (error) {
      console.error(error);
      chart.note.textContent = "This chart could not be drawn. The next update tries again; reloading the page may help.";
    }
  }
  chart.busy = false;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const chart = charts.get(parentElement) ?? create(parentElement);
  charts.set(parentElement, chart);
  Object.assign(chart, { data, send: setTriggerValue });
  const call = (chart.calls += 1);
  chart.node.style.height = `${data.height}px`; // reserved before plotly.js has arrived
  chart.node.dataset.chart = data.key;
  chart.node.setAttribute("aria-label", data.label);
  draw(chart);
  // The clean-up of superseded calls runs too: only the newest may end the chart, once it has left the page.
  return () => setTimeout(() => {
    if (call !== chart.calls || parentElement.isConnected) return;
    chart.observer.disconnect();
    if (chart.drawn) globalThis.Plotly.purge(chart.plot);
    charts.delete(parentElement);
  });
}
