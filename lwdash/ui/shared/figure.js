// Streamlit calls the default function again on every rerun; the state of each figure is kept here, by its element.
const figures = new WeakMap();

const SERIES = ["#0072B2", "#C47F00", "#009E73", "#CC79A7", "#2F97D2", "#D55E00", "#808d99", "#9d9100"];
// A circle of 24 pixels as curves: a shape of type circle takes its left edge for a position where an axis is logarithmic.
const RING = "M12,0C12,6.63 6.63,12 0,12C-6.63,12 -12,6.63 -12,0C-12,-6.63 -6.63,-12 0,-12C6.63,-12 12,-6.63 12,0Z";
const SVG_ICON = {
  width: 24,
  height: 24,
  path: "M5 20h14v-2H5v2zM19 9h-4V3H9v6H5l7 7 7-7z",
};

let loading = null;

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".lwdash-figure");
  let figure = figures.get(root);
  if (!figure) {
    figure = { root, drawn: null, width: 0, selected: [], queue: Promise.resolve() };
    figures.set(root, figure);
    figure.observer = new ResizeObserver(() => resized(figure));
    figure.observer.observe(root);
    figure.scheme = matchMedia("(prefers-color-scheme: dark)");
    figure.recolour = () => setTimeout(() => redraw(figure, true), 400);
    figure.scheme.addEventListener("change", figure.recolour);
  }
  figure.data = data;
  figure.selected = data.selected;
  figure.pick = (ids) => setTriggerValue("picked", ids);
  root.setAttribute("role", "figure");
  root.setAttribute("aria-label", data.alt);
  root.style.height = `${data.height}px`;
  redraw(figure, false);
  return () => {
    if (root.isConnected) return;
    figure.observer.disconnect();
    figure.scheme.removeEventListener("change", figure.recolour);
    window.Plotly?.purge(root);
    figures.delete(root);
  };
}

// plotly.js comes from this server, once a page, below any base path: Streamlit's page paths have one part.
function plotly() {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  loading ??= new Promise((done, failed) => {
    let tag = document.querySelector('script[src$="plotly.min.js"]'); // the page may have asked for it with its first bytes
    if (!tag) {
      tag = document.createElement("script");
      tag.src = new URL("plotly.min.js", new URL("./", document.baseURI));
      document.head.append(tag);
    }
    tag.addEventListener("load", () => done(window.Plotly));
    tag.addEventListener("error", () => {
      loading = null;
      tag.remove();
      failed(new Error("plotly.js could not be loaded from this server"));
    });
  });
  return loading;
}

// One drawing at a time, in order; plotly's own calls end before what they draw is there.
function redraw(figure, isForced) {
  figure.queue = figure.queue.then(async () => {
    const library = await plotly();
    if (!figure.root.isConnected) return;
    const { data, root } = figure;
    if (isForced || figure.drawn !== data.figure) await draw(figure, library);
    else if (hasRings(data, root.data)) await ring(figure, library);
    root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
  }).catch((error) => {
    figure.root.innerHTML = "";
    const words = document.createElement("div");
    words.className = "lwdash-figure-failed";
    words.textContent = `This figure could not be drawn: ${error.message}. Reload the page.`;
    figure.root.append(words);
  });
}

async function draw(figure, library) {
  const { root, data } = figure;
  const { data: traces, layout } = JSON.parse(data.figure);
  figure.isNew = figure.drawn === null;
  figure.drawn = data.figure;
  figure.width = root.clientWidth;
  layout.template = theme(root);
  // A title with a second line below it is placed well by plotly; others begin at the top, all at the same height.
  if (layout.title && !layout.title.subtitle?.text) Object.assign(layout.title, { y: 1, yanchor: "top", yref: "container", pad: { t: 12 } });
  layout.height = data.height;
  layout.dragmode ??= "zoom";
  layout.clickmode = "event";
  fit(root, traces, layout);
  figure.shapes = layout.shapes ?? [];
  if (hasRings(data, traces)) layout.shapes = [...figure.shapes, ...rings(figure)];
  await library.react(root, traces, layout, config(data, library));
  if (figure.isNew && data.can_pick) listen(figure, library);
}

// Shapes: plotly moves these in a millisecond, while markers of a trace would draw all points again.
function ring(figure, library) {
  return library.relayout(figure.root, { shapes: [...figure.shapes, ...rings(figure)] });
}

function rings({ root, selected }) {
  const line = { color: style(root, "--st-text-color", "#17212b"), width: 2.5 };
  return selected.map(([, x, y]) => ({
    type: "path", name: "selected", path: RING, xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, line,
  }));
}

// Parallel coordinates have no points for rings: their brushes show the selection.
function hasRings(data, traces) {
  return data.can_pick && traces[0]?.type !== "parcoords";
}

function listen(figure, library) {
  const { root } = figure;
  if (root.data[0]?.type === "parcoords") {
    root.on("plotly_restyle", () => figure.pick(brushes(root._fullData[0])));
    return;
  }
  root.on("plotly_click", (event) => {
    const point = event.points.find((p) => p.customdata !== undefined);
    if (!point) return;
    const id = runOf(point);
    const others = figure.selected.filter((one) => one[0] !== id);
    choose(figure, library, others.length < figure.selected.length ? others : [...others, [id, point.x, point.y]]);
  });
  root.addEventListener("mousedown", (event) => { figure.isAdding = event.shiftKey; }, true);
  root.on("plotly_selected", (event) => {
    const points = (event?.points ?? []).filter((p) => p.customdata !== undefined);
    if (!points.length) return;
    const before = figure.isAdding ? figure.selected : [];
    const found = new Map([...before, ...points.map((p) => [runOf(p), p.x, p.y])].map((one) => [one[0], one]));
    library.update(root, { selectedpoints: null }, { selections: [] });
    choose(figure, library, [...found.values()]);
  });
}

// [low, high] of every brush, by the name of its axis: the server knows also the runs that are not drawn.
function brushes({ dimensions }) {
  const spans = (range) => (Array.isArray(range[0]) ? range : [range]);
  return Object.fromEntries(dimensions.filter((one) => one.constraintrange).map((one) => [one.name, spans(one.constraintrange)]));
}

function runOf(point) {
  return Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
}

// The rings are drawn at once; the server's reply draws them again from its selection.
function choose(figure, library, selected) {
  figure.selected = selected;
  ring(figure, library);
  figure.pick(selected.map((one) => one[0]));
}

function resized(figure) {
  const { root } = figure;
  if (!figure.drawn || root.clientWidth === 0 || Math.abs(root.clientWidth - figure.width) < 2) return;
  redraw(figure, true);
}

function config(data, library) {
  const save = { filename: data.file_name, scale: 2 };
  return {
    displaylogo: false,
    showSendToCloud: false,
    showEditInChartStudio: false,
    displayModeBar: "hover",
    modeBarButtonsToRemove: data.can_pick ? ["autoScale2d", "toImage", "sendChartToCloud"] : ["sendChartToCloud", "autoScale2d", "select2d", "lasso2d", "toImage"],
    modeBarButtonsToAdd: ["png", "svg"].map((format) => ({
      name: `Save as ${format.toUpperCase()}`,
      icon: format === "png" ? library.Icons.camera : SVG_ICON,
      click: (element) => library.downloadImage(element, { ...save, format, scale: format === "png" ? 2 : 1 }),
    })),
  };
}

function style(root, name, otherwise) {
  return getComputedStyle(root).getPropertyValue(name).trim() || otherwise;
}

function theme(root) {
  const ink = style(root, "--st-text-color", "#17212b");
  const paper = style(root, "--st-background-color", "#ffffff");
  const border = style(root, "--st-border-color", "#d9e1e7");
  const raised = style(root, "--st-secondary-background-color", "#f3f6f8");
  const axis = { gridcolor: border, linecolor: border, zerolinecolor: border, automargin: true, title: { standoff: 12 } };
  return {
    layout: {
      font: { color: ink, family: getComputedStyle(root).fontFamily, size: 13 },
      title: { x: 0, xanchor: "left", xref: "container", font: { size: 17, weight: 600 }, subtitle: { font: { size: 12.5 } } },
      paper_bgcolor: paper,
      plot_bgcolor: paper,
      colorway: SERIES,
      hoverlabel: { bgcolor: raised, bordercolor: border, font: { color: ink, size: 13, family: getComputedStyle(root).fontFamily } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "#808d99", activecolor: ink },
      xaxis: axis,
      yaxis: axis,
    },
  };
}
