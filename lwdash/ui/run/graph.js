// Streamlit draws the graph; this makes its operators answer to mouse and keyboard, and saves the picture.
const graphs = new WeakMap();
const MOST_PIXELS = 16000;

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".lwdash-graph-tools");
  let graph = graphs.get(root);
  if (!graph) {
    graph = entered();
    graphs.set(root, graph);
  }
  Object.assign(graph, { data, pick: (index) => setTriggerValue("picked", index) });
  for (const button of root.querySelectorAll("button")) button.onclick = () => save(graph, button.dataset.format);
  dress(graph);
  return () => {
    if (root.isConnected) return;
    graph.leave();
    graphs.delete(root);
  };
}

// The picture is drawn after this, and anew when colours or shapes change: of all around it only the body surely stays.
function entered() {
  const page = document.body;
  const graph = {};
  const clicked = (event) => choose(graph, event.target.closest("g.node"));
  const pressed = (event) => key(graph, event);
  const drawn = new MutationObserver(() => dress(graph));
  drawn.observe(page, { childList: true, subtree: true });
  page.addEventListener("click", clicked);
  page.addEventListener("keydown", pressed);
  graph.leave = () => {
    drawn.disconnect();
    page.removeEventListener("click", clicked);
    page.removeEventListener("keydown", pressed);
  };
  return graph;
}

// Operators are numbered; inputs and outputs of the model are not.
function operators(graph) {
  return [...document.querySelectorAll(`.st-key-${graph.data.frame} g.node`)].filter((node) => /^\d+$/.test(title(node)));
}

function title(node) {
  return node.querySelector("title")?.textContent ?? "";
}

// One operator is reached by the tab key, the others from there by the arrows: a graph may have hundreds.
function dress(graph) {
  const nodes = operators(graph);
  const chosen = nodes.find((node) => Number(title(node)) === graph.data.selected);
  const reached = nodes.find((node) => node === document.activeElement) ?? chosen ?? nodes[0];
  nodes[0]?.closest('[role="img"]')?.setAttribute("role", "group");
  for (const node of nodes) {
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", node === reached ? "0" : "-1");
    node.setAttribute("aria-pressed", String(node === chosen));
    node.setAttribute("aria-label", [`operator ${title(node)}`, ...[...node.querySelectorAll("text")].map((text) => text.textContent)].join(", "));
  }
}

function choose(graph, node) {
  if (!node || !operators(graph).includes(node)) return;
  graph.data.selected = Number(title(node));
  dress(graph);
  graph.pick(graph.data.selected);
}

function key(graph, event) {
  const node = event.target.closest?.("g.node");
  if (!node) return;
  const nodes = operators(graph).sort((one, other) => title(one) - title(other));
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (event.key === "Enter" || event.key === " ") choose(graph, node);
  else if (step) {
    const next = nodes[nodes.indexOf(node) + step];
    if (next) {
      node.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    }
  } else return;
  event.preventDefault();
}

// As it is seen: in its full size, on the page's ground.
async function save(graph, format) {
  const drawn = operators(graph)[0]?.ownerSVGElement;
  if (!drawn) return;
  const { width, height } = drawn.viewBox.baseVal;
  const picture = drawn.cloneNode(true);
  for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height })) picture.setAttribute(name, value);
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width, height, fill: getComputedStyle(drawn).getPropertyValue("--st-background-color").trim() || "#ffffff" })) ground.setAttribute(name, value);
  picture.prepend(ground);
  const svg = new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" });
  download(format === "svg" ? svg : await painted(svg, width, height), `${graph.data.file_name}.${format}`);
}

async function painted(svg, width, height) {
  const image = new Image();
  const address = URL.createObjectURL(svg);
  image.src = address;
  await image.decode();
  URL.revokeObjectURL(address);
  const scale = Math.min(2, MOST_PIXELS / Math.max(width, height));
  const canvas = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
