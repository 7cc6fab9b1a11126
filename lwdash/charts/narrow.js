// Adapts a figure to the available width, on pages and in reports: both put this before their own script.
const NARROW = 640;

// As wide as its container; a figure that would be unreadable scrolls within it, also by keyboard.
function fit(place, traces, layout) {
  const room = place.clientWidth;
  layout.width = Math.max(room, layout.meta?.min_width ?? 0);
  place.style.overflow = layout.width > room ? "auto hidden" : "";
  if (layout.width > room) place.tabIndex = 0;
  else place.removeAttribute("tabindex");
  if (room < NARROW && !layout.meta?.min_width) narrow(traces, layout);
}

// On a phone names would cover each other, and a colour bar would take a third of the width.
function narrow(traces, layout) {
  for (const trace of traces) {
    if (trace.type === "scatter" && trace.mode === "markers+text") trace.mode = "markers";
  }
  if (layout.coloraxis) layout.coloraxis.colorbar = { ...layout.coloraxis.colorbar, orientation: "h", y: 1.0, yanchor: "bottom", thickness: 10 };
  if (layout.legend2) layout.legend2 = { ...layout.legend2, orientation: "h", x: 0, y: 1.0, yanchor: "bottom", font: { size: 11 }, title: { text: layout.legend2.title.text.replace("<br>", " "), side: "top" } };
  for (const trace of traces) {
    if (trace.type !== "bar" || trace.orientation === "h" || !Array.isArray(trace.text)) continue;
    // Side by side at their own size; otherwise they would be shrunk to the width of a bar. Empty ones are removed.
    Object.assign(trace, { constraintext: "none", textangle: 0, textfont: { ...trace.textfont, size: 10 }, text: trace.text.map((text) => (text === "no change" ? "" : text)) });
    for (const name of Object.keys(layout)) if (/^xaxis\d*$/.test(name)) layout[name] = { ...layout[name], tickangle: -60 };
  }
  if (traces.some((trace) => trace.type === "bar")) layout.legend = { ...layout.legend, y: -0.12, yanchor: "top" };
  layout.margin = { ...layout.margin, l: 40, r: 8, t: layout.legend2 ? 185 : layout.coloraxis ? 130 : Math.min(70, layout.margin?.t ?? 70) };
}
