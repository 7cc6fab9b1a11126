const drawings = JSON.parse(document.getElementById("drawings").textContent);
const tables = JSON.parse(document.getElementById("tables").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const SVG_ICON = { width: 24, height: 24, path: "M5 20h14v-2H5v2zM19 9h-4V3H9v6H5l7 7 7-7z" };

function theme() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--border"), linecolor: colour("--border"), zerolinecolor: colour("--border"), automargin: true, title: { standoff: 12 } };
  return {
    layout: {
      font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
      title: { x: 0, xanchor: "left", xref: "container", font: { size: 17, weight: 600 } },
      paper_bgcolor: colour("--paper"), plot_bgcolor: colour("--paper"),
      colorway: ["#0072B2", "#C47F00", "#009E73", "#CC79A7", "#2F97D2", "#D55E00", "#808d99", "#9d9100"],
      hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--border"), font: { color: colour("--ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--faint"), activecolor: colour("--ink") },
      xaxis: axis, yaxis: axis,
    },
  };
}

// A figure is drawn when it comes near the window, so that the first ones are there at once.
const near = new IntersectionObserver((seen) => draw(seen.filter((one) => one.isIntersecting).map((one) => one.target)), { rootMargin: "400px" });
const drawn = new Set();

function draw(places) {
  for (const place of places) {
    drawn.add(place);
    near.unobserve(place);
    const { name, data, layout } = structuredClone(drawings[place.dataset.number]);
    const save = (format) => ({
      name: `Save as ${format.toUpperCase()}`,
      icon: format === "png" ? Plotly.Icons.camera : SVG_ICON,
      click: (element) => Plotly.downloadImage(element, { format, filename: name, scale: format === "png" ? 2 : 1 }),
    });
    layout.template = theme();
    fit(place, data, layout);
    Plotly.react(place, data, layout, {
      displaylogo: false, responsive: true, showSendToCloud: false,
      modeBarButtonsToRemove: ["autoScale2d", "select2d", "lasso2d", "toImage", "sendChartToCloud"],
      modeBarButtonsToAdd: [save("png"), save("svg")],
    });
  }
}

function csv(records) {
  const columns = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const plain = Array.isArray(value) ? value.join(";") : String(value);
    // As in cells.py: a spreadsheet would compute such text.
    const isFormula = typeof value !== "number" && /^[ \u00a0]*[=+\-@\t\r\n]/.test(plain) && !Number.isFinite(Number(plain));
    const text = isFormula ? `'${plain}` : plain;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...records.map((record) => columns.map((column) => record[column]))].map((row) => row.map(cell).join(",")).join("\r\n");
}

document.addEventListener("click", (event) => {
  const { table, kind } = event.target.dataset;
  if (table === undefined) return;
  const { name, records } = tables[table];
  const text = kind === "csv" ? csv(records) : JSON.stringify(records, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/json" }));
  link.download = `${name}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

if (window.Plotly) {
  const places = document.querySelectorAll(".drawing");
  for (const place of places) near.observe(place);
  addEventListener("beforeprint", () => draw([...places].filter((place) => !drawn.has(place))));
  for (const [source, event] of [[dark, "change"], [window, "resize"]]) source.addEventListener(event, () => draw([...drawn]));
}
