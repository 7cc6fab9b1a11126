// The treemap and the table of a file's layers. Each click goes to the server, which shows the layer in all views.
const views = new WeakMap();

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".lwdash-layers");
  const view = views.get(root) ?? { root, sorted: null, isDown: true };
  views.set(root, view);
  view.data = data;
  view.pick = (part) => setTriggerValue("picked", part);
  draw(view);
  mark(view);
  const row = root.querySelector('tr[aria-current="true"]'), frame = root.querySelector(".rows");
  if (row && view.shown !== data.selected) frame.scrollTop = row.offsetTop - frame.clientHeight / 2;
  view.shown = data.selected;
}

function element(name, values = {}, ...children) {
  const made = Object.assign(document.createElement(name), values);
  made.append(...children);
  return made;
}

function draw(view) {
  const { tiles, columns } = view.data;
  const focused = document.activeElement?.closest?.(".lwdash-layers") === view.root ? document.activeElement.dataset.key : null;
  const treemap = element("div", { className: "tiles" }, ...tiles.map((tile) => drawTile(view, tile)));
  treemap.setAttribute("role", "group");
  treemap.setAttribute("aria-label", "Treemap of the layers by their bytes");
  const head = element("tr", {}, ...["Layer", "Operators", ...columns.map((one) => one.title)].map((title, i) => heading(view, title, columns[i - 2]?.meaning, i)));
  const body = element("tbody", {}, ...ordered(view).map((row) => drawRow(view, row)));
  const table = element("table", {}, element("thead", {}, head), body);
  table.setAttribute("aria-label", "Layers with all measured quantities");
  const rows = element("div", { className: "rows", tabIndex: 0 }, table);
  rows.setAttribute("role", "region");
  rows.setAttribute("aria-label", "Layers");
  const top = view.root.querySelector(".rows")?.scrollTop ?? 0;
  view.root.replaceChildren(...(tiles.length ? [treemap] : []), rows);
  view.root.style.gridTemplateColumns = tiles.length ? "" : "minmax(0, 1fr)";
  rows.scrollTop = top;
  if (focused) [...view.root.querySelectorAll("button")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
}

function drawTile(view, { part, place, fill, ink, text }) {
  const [left, top, width, height] = place;
  const lines = height < 6 || width < 6 ? [] : height < 13 ? [part] : [part, text];
  const tile = element("button", { type: "button", className: "tile", title: `${part}\n${text}`, ariaLabel: `${part}, ${text}` }, ...lines.map((line) => element("span", {}, line)));
  Object.assign(tile.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%`, background: fill, color: ink });
  return choosing(view, tile, part, "tile");
}

function drawRow(view, { part, types, cells, share }) {
  const name = choosing(view, element("button", { type: "button", title: part }, element("bdi", {}, part)), part, "row");
  const head = element("th", { scope: "row" }, name);
  const numbers = cells.map(({ text }, i) => element("td", { className: i ? "" : "bar" }, text));
  numbers[0]?.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
  const row = element("tr", {}, head, element("td", { className: "types", title: types }, types), ...numbers);
  row.dataset.part = part;
  return row;
}

function choosing(view, button, part, kind) {
  button.dataset.part = part;
  button.dataset.key = `${kind}:${part}`;
  button.addEventListener("click", () => {
    view.data.selected = view.shown = part;
    mark(view);
    view.pick(part);
  });
  return button;
}

function mark({ root, data }) {
  for (const tile of root.querySelectorAll(".tile")) tile.setAttribute("aria-pressed", String(tile.dataset.part === data.selected));
  for (const row of root.querySelectorAll("tbody tr")) row.setAttribute("aria-current", String(row.dataset.part === data.selected));
}

// The first click on a heading puts the largest value first, the third restores the order of the file.
function heading(view, title, meaning, column) {
  const isSorted = view.sorted === column;
  const button = element("button", { type: "button", title: meaning ?? "" }, title + (isSorted ? (view.isDown ? " ↓" : " ↑") : ""));
  button.dataset.key = `head:${column}`;
  button.addEventListener("click", () => {
    if (!isSorted) Object.assign(view, { sorted: column, isDown: column > 1 });
    else if (view.isDown === column > 1) view.isDown = !view.isDown;
    else view.sorted = null;
    draw(view);
    mark(view);
  });
  const cell = element("th", { scope: "col" }, button);
  cell.setAttribute("aria-sort", isSorted ? (view.isDown ? "descending" : "ascending") : "none");
  return cell;
}

function ordered({ data, sorted, isDown }) {
  if (sorted === null) return data.rows;
  const of = (row) => (sorted === 0 ? row.part : sorted === 1 ? row.types : row.cells[sorted - 2]?.value);
  const missing = (value) => value === null || value === undefined;
  return [...data.rows].sort((one, other) => {
    const [a, b] = [of(one), of(other)];
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return (a < b ? -1 : a > b ? 1 : 0) * (isDown ? -1 : 1);
  });
}
