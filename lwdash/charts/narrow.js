// Adapts a figure to the available width, on pages and in reports: both put this before their own script.
const NARROW = 640;
// Width of a letter of a title, and height of one of its lines, in pixels.
const TITLE_LETTER = 9.5, LINE = 24;

// As wide as its container; a figure that would be unreadable scrolls within it, also by keyboard.
function fit(place, traces, layout) {
  const room = place.clientWidth;
  layout.width = Math.max(room, layout.meta?.min_width ?? 0);
  place.style.overflow = layout.width > room ? "auto hidden" : "";
  if (layout.width > room) place.tabIndex = 0;
  else place.removeAttribute("tabindex");
  if (room < NARROW && !layout.meta?.min_width) narrow(traces, layout, room);
  if (layout.height) place.style.height = `${layout.height}px`;
}

// On a phone names would cover each other, a colour bar would take a third of the width, and a long title would be cut.
function narrow(traces, layout, room) {
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
  const top = layout.legend2 ? 185 : layout.coloraxis ? 130 : Math.min(70, layout.margin?.t ?? 70);
  const lines = wrapped(layout.title?.text ?? "", Math.floor(room / TITLE_LETTER));
  if (lines.length > 1) layout.title = { ...layout.title, text: lines.join("<br>") };
  // A legend above the plot takes two lines; the title's further lines come on top.
  const more = (layout.legend?.y > 1 ? LINE : 0) + LINE * (lines.length - 1);
  if (layout.height) layout.height += more + (layout.legend2 ? top - 130 : 0);
  layout.margin = { ...layout.margin, l: 40, r: 8, t: top + more };
}

function wrapped(text, letters) {
  const lines = [];
  for (const word of text.split(" ")) {
    if (lines.length && lines.at(-1).length + word.length < letters) lines[lines.length - 1] += ` ${word}`;
    else lines.push(word);
  }
  return lines;
}
