// The graph of a file: pan, zoom, overview, search, selection, and saving. Places, colours and texts come from the server.
const SVG = "http://www.w3.org/2000/svg";
const LINE = "#8794a0";
const MIN_SCALE = 0.02, MAX_SCALE = 3, READABLE = 0.45, COMFORTABLE = 0.75, RECOGNIZABLE = 0.12;
const MAX_PIXELS = 16000;
const views = new WeakMap();

// Streamlit calls this again on every rerun; the state of each graph is kept here, by its element.
export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".lwdash-graph");
  let view = views.get(root);
  if (!view) views.set(root, (view = created(root)));
  view.pick = (part) => setTriggerValue("picked", part);
  view.open = (id) => setTriggerValue("opened", id);
  show(view, data);
  return () => {
    if (root.isConnected) return;
    view.observer.disconnect();
    views.delete(root);
  };
}

function created(root) {
  const find = (selector) => root.querySelector(selector);
  const view = {
    root, stage: find(".stage"), svg: find(".picture"), layer: find(".picture > g"), overview: find(".overview"),
    canvas: find("canvas"), window: find(".window"), input: find("input"), status: find(".hits"),
    x: 0, y: 0, scale: 1, boxes: [], hits: [], hit: -1, pointers: new Map(), isWaiting: false,
  };
  view.observer = new ResizeObserver(() => { drawOverview(view); move(view); });
  view.observer.observe(view.stage);
  listen(view);
  return view;
}

function show(view, data) {
  const isOther = view.data?.shape !== data.shape; // another file or other folds, not only other colours
  const before = view.data?.selected;
  view.data = data;
  view.svg.setAttribute("aria-label", data.alt);
  draw(view);
  search(view);
  if (isOther) fit(view);
  select(view, data.selected);
  if (data.selected && (isOther || data.selected !== before)) bringIntoView(view, chosen(view));
  drawOverview(view);
  move(view);
}

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// All looks are attributes, so that a saved picture needs no style sheet.
function draw(view) {
  const { boxes, lines } = view.data;
  const hadFocus = view.boxes.find((box) => box.element === document.activeElement)?.id;
  view.boxes = boxes.map((box) => ({ ...box, element: drawBox(box), before: [], after: [] }));
  for (const line of lines) {
    view.boxes[line.from].after.push(line.to);
    view.boxes[line.to].before.push(line.from);
  }
  const paths = element("g", { fill: "none", stroke: LINE, "stroke-width": 1.4 }, ...lines.map((line) => element("path", { d: line.path })));
  view.layer.replaceChildren(paths, ...view.boxes.map((box) => box.element));
  view.boxes.find((box) => box.id === hadFocus)?.element.focus({ preventScroll: true });
}

function drawBox(box) {
  const { width, height, lines, fill, ink } = box;
  const body = { width, height, rx: box.is_operator ? 6 : height / 2, fill, stroke: "#808d99", "stroke-width": 1 };
  const text = element("text", { fill: ink, "font-family": "Helvetica, Arial, sans-serif", "font-size": 12, "text-anchor": "middle" });
  lines.forEach((line, i) => text.append(element("tspan", { x: width / 2, y: 20 + 15 * i, ...(i ? {} : { "font-weight": 600 }) }, line)));
  const group = element("g", { class: "box", transform: `translate(${box.x} ${box.y})` });
  if (box.repeats > 1) group.append(...[6, 3].map((by) => element("rect", { ...body, x: by, y: by, "fill-opacity": 0.45 })));
  group.append(element("title", {}, [...lines, ...box.parts.slice(0, 8)].join("\n")), element("rect", body), text);
  if (box.repeats > 1) {
    const label = { x: width - 2, y: 3, fill: "#17212b", "font-family": "Helvetica, Arial, sans-serif", "font-size": 12, "font-weight": 700, "text-anchor": "middle" };
    group.append(element("rect", { x: width - 20, y: -11, width: 36, height: 19, rx: 9.5, fill: "#e1cc55" }), element("text", label, `×${box.repeats}`));
  }
  if (box.is_operator) {
    group.setAttribute("role", "button");
    group.setAttribute("tabindex", "-1");
    group.setAttribute("aria-label", lines.join(", ") + (box.repeats > 1 ? ", folded: press to unfold" : ""));
    if (box.repeats > 1) group.setAttribute("aria-expanded", "false");
  }
  return group;
}

// The selected part is marked in every box that holds it. The tab key reaches one box, the arrow keys the others.
function select(view, part) {
  view.data.selected = part;
  for (const box of view.boxes) if (box.is_operator) {
    const isChosen = box.parts.includes(part);
    if (box.repeats > 1) box.element.classList.toggle("hit", isChosen);
    else box.element.setAttribute("aria-pressed", String(isChosen));
  }
  reach(view, view.boxes.find((box) => box.element === document.activeElement) ?? chosen(view) ?? view.boxes.find((box) => box.is_operator));
}

function chosen(view) {
  return view.boxes.find((box) => box.is_operator && box.parts.includes(view.data.selected));
}

function reach(view, target) {
  for (const box of view.boxes) if (box.is_operator) box.element.setAttribute("tabindex", box === target ? "0" : "-1");
}

function press(view, box) {
  if (!box?.is_operator) return;
  if (box.repeats > 1) return view.open(box.id);
  select(view, box.parts[0]);
  view.pick(box.parts[0]);
}

function boxOf(view, target) {
  const group = target.closest?.(".box");
  return group && view.boxes.find((box) => box.element === group);
}

// ---- place and scale

function move(view) {
  if (view.isWaiting) return;
  view.isWaiting = true;
  requestAnimationFrame(() => {
    view.isWaiting = false;
    const { x, y, scale } = view;
    view.layer.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale.toFixed(4)})`);
    view.layer.classList.toggle("far", scale < READABLE);
    placeWindow(view);
  });
}

function room(view) {
  return { width: view.stage.clientWidth, height: view.stage.clientHeight };
}

// At first the whole graph if its texts are comfortable to read then, when asked for if its boxes are recognizable; else
// its beginning, as wide as the frame but readable.
function fit(view, isAsked = false) {
  const { width, height } = room(view);
  const free = width - 96;
  const across = free / Math.max(view.data.width, 1), down = (height - 32) / Math.max(view.data.height, 1);
  const whole = Math.min(across, down), isWhole = whole >= (isAsked ? RECOGNIZABLE : COMFORTABLE);
  view.scale = Math.min(1, isWhole ? whole : Math.max(across, COMFORTABLE));
  const first = view.boxes[0];
  const middle = isWhole || across >= COMFORTABLE || !first ? view.data.width / 2 : first.x + first.width / 2;
  view.x = 16 + free / 2 - middle * view.scale;
  view.y = 16;
  move(view);
}

function zoom(view, factor, at = { x: room(view).width / 2, y: room(view).height / 2 }) {
  const scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, view.scale * factor));
  view.x = at.x - (at.x - view.x) * (scale / view.scale);
  view.y = at.y - (at.y - view.y) * (scale / view.scale);
  view.scale = scale;
  move(view);
}

function bringIntoView(view, box) {
  if (!box) return;
  const { width, height } = room(view);
  const x = view.x + (box.x + box.width / 2) * view.scale, y = view.y + (box.y + box.height / 2) * view.scale;
  if (x > 40 && x < width - 120 && y > 30 && y < height - 30 && view.scale >= READABLE) return;
  view.scale = Math.max(view.scale, 0.8);
  view.x = (width - 80) / 2 - (box.x + box.width / 2) * view.scale;
  view.y = height / 2 - (box.y + box.height / 2) * view.scale;
  move(view);
}

// ---- mouse, fingers and keys

function listen(view) {
  const { svg, stage } = view;
  const place = (event) => { const frame = stage.getBoundingClientRect(); return { x: event.clientX - frame.left, y: event.clientY - frame.top }; };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    view.pointers.set(event.pointerId, place(event));
    view.moved = 0;
    view.isActive = true;
  });
  svg.addEventListener("pointermove", (event) => {
    const before = view.pointers.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    const [other] = [...view.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    if (other) zoom(view, distance(now, other) / Math.max(1, distance(before, other)), other);
    else if (view.moved > 4 || event.pointerType !== "touch") {
      view.x += now.x - before.x;
      view.y += now.y - before.y;
    }
    view.moved += distance(now, before);
    if (view.moved > 4 && !svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
    svg.classList.toggle("dragged", view.moved > 4);
    view.pointers.set(event.pointerId, now);
    move(view);
  });
  const ended = (event) => { view.pointers.delete(event.pointerId); svg.classList.remove("dragged"); };
  svg.addEventListener("pointerup", ended);
  svg.addEventListener("pointercancel", ended);
  svg.addEventListener("click", (event) => { if (!(view.moved > 4)) press(view, boxOf(view, event.target)); });
  stage.addEventListener("pointerleave", () => { view.isActive = false; });
  // A wheel over a graph that nobody has touched moves the page.
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !view.isActive && !view.root.contains(document.activeElement)) return;
    event.preventDefault();
    zoom(view, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : event.ctrlKey ? 0.008 : 0.0015)), place(event));
  }, { passive: false });
  svg.addEventListener("keydown", (event) => key(view, event));
  svg.addEventListener("focusin", (event) => bringIntoView(view, boxOf(view, event.target)));
  view.input.addEventListener("input", () => { search(view); step(view, 1); });
  view.input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(view, event.shiftKey ? -1 : 1);
  });
  const deeds = {
    previous: () => step(view, -1), next: () => step(view, 1), out: () => zoom(view, 1 / 1.4), in: () => zoom(view, 1.4),
    fit: () => fit(view, true), svg: () => save(view, "svg"), png: () => save(view, "png"),
  };
  for (const button of view.root.querySelectorAll("button")) button.addEventListener("click", deeds[button.dataset.do]);
  const jump = (event) => {
    const frame = view.overview.getBoundingClientRect(), { width, height } = room(view);
    view.x = (width - 80) / 2 - ((event.clientX - frame.left) / frame.width) * view.data.width * view.scale;
    view.y = height / 2 - ((event.clientY - frame.top) / frame.height) * view.data.height * view.scale;
    move(view);
  };
  view.overview.addEventListener("pointerdown", (event) => { view.overview.setPointerCapture(event.pointerId); jump(event); });
  view.overview.addEventListener("pointermove", (event) => { if (view.overview.hasPointerCapture(event.pointerId)) jump(event); });
}

function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

// Up and down lead along the lines, left and right through the file.
function key(view, event) {
  const box = boxOf(view, event.target);
  const operators = view.boxes.filter((one) => one.is_operator);
  const along = (near) => near.map((i) => view.boxes[i]).find((one) => one.is_operator);
  const next = box && {
    ArrowDown: () => along(box.after), ArrowUp: () => along(box.before),
    ArrowRight: () => operators[operators.indexOf(box) + 1], ArrowLeft: () => operators[operators.indexOf(box) - 1],
  }[event.key];
  if (next) {
    const target = next();
    if (target) { reach(view, target); target.element.focus({ preventScroll: true }); }
  } else if (box && (event.key === "Enter" || event.key === " ")) press(view, box);
  else if (event.key === "+") zoom(view, 1.4);
  else if (event.key === "-") zoom(view, 1 / 1.4);
  else if (event.key === "0") fit(view, true);
  else return;
  event.preventDefault();
}

// ---- search

function search(view) {
  const words = view.input.value.trim().toLowerCase();
  view.hits = words ? view.boxes.filter((box) => box.search.includes(words)) : [];
  view.hit = -1;
  view.layer.classList.toggle("searched", Boolean(words));
  for (const box of view.boxes) box.element.classList.toggle("hit", view.hits.includes(box));
  count(view);
}

function step(view, by) {
  if (!view.hits.length) return;
  view.hit = (view.hit + by + view.hits.length) % view.hits.length;
  bringIntoView(view, view.hits[view.hit]);
  reach(view, view.hits[view.hit]);
  count(view);
}

function count(view) {
  const found = view.hits.length;
  view.status.textContent = !view.input.value.trim() ? "" : found ? `${Math.max(1, view.hit + 1)} of ${found}` : "no hit";
}

// ---- overview: the whole graph in a strip, stretched, since deep networks are a hundred times as high as wide

function drawOverview(view) {
  const { width, height } = view.overview.getBoundingClientRect();
  if (!width || !view.data) return;
  Object.assign(view.canvas, { width: 2 * width, height: 2 * height });
  const pen = view.canvas.getContext("2d");
  const across = (2 * width) / Math.max(view.data.width, 1), down = (2 * height) / Math.max(view.data.height, 1);
  for (const box of view.boxes) {
    pen.fillStyle = box.fill;
    pen.fillRect(box.x * across, box.y * down, Math.max(2, box.width * across), Math.max(1, box.height * down));
    // Dark boxes would vanish on a dark page.
    pen.strokeStyle = "#808d99";
    pen.strokeRect(box.x * across, box.y * down, Math.max(2, box.width * across), Math.max(1, box.height * down));
  }
}

function placeWindow(view) {
  if (!view.data) return;
  const { width, height } = room(view);
  const share = (from, length, whole) => [Math.max(0, from / whole), Math.min(1, (from + length) / whole)];
  const [left, right] = share(-view.x / view.scale, width / view.scale, Math.max(view.data.width, 1));
  const [top, bottom] = share(-view.y / view.scale, height / view.scale, Math.max(view.data.height, 1));
  view.overview.hidden = left <= 0 && top <= 0 && right >= 1 && bottom >= 1;
  Object.assign(view.window.style, {
    left: `${100 * left}%`, top: `${100 * top}%`, width: `max(6px, ${100 * (right - left)}%)`, height: `max(6px, ${100 * (bottom - top)}%)`,
  });
}

// ---- saving: the whole graph in its full size, on the page's background

async function save(view, format) {
  const width = Math.ceil(view.data.width) + 40, height = Math.ceil(view.data.height) + 40;
  const ground = getComputedStyle(view.root).getPropertyValue("--st-background-color").trim() || "#ffffff";
  const copy = view.layer.cloneNode(true);
  copy.removeAttribute("class");
  copy.setAttribute("transform", "translate(20 20)");
  const picture = element("svg", { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}` }, element("rect", { width, height, fill: ground }), copy);
  const svg = new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" });
  download(format === "svg" ? svg : await painted(svg, width, height), `${view.data.file_name}.${format}`);
}

async function painted(svg, width, height) {
  const image = new Image();
  const address = URL.createObjectURL(svg);
  image.src = address;
  await image.decode();
  URL.revokeObjectURL(address);
  const scale = Math.min(2, MAX_PIXELS / Math.max(width, height));
  const canvas = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
