// Streamlit calls the default function again on every rerun with new data; a transfer outlives these calls,
// so the state of each uploader on the page is kept here, by its element.
const uploaders = new WeakMap();

const ARROW_UP = "M12 16V4M6 10l6-6 6 6M4 20h16";
const TICK = "M5 12.5l4.5 4.5L19 7.5";

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".uploader");
  let uploader = uploaders.get(root);
  if (!uploader) {
    uploader = { root, request: null, failure: null, part: (name) => root.querySelector(`.${name}`) };
    uploaders.set(root, uploader);
    listen(uploader);
  }
  uploader.data = data;
  uploader.report = (uploaded) => setStateValue("uploaded", uploaded);
  uploader.current = data.current ?? uploader.current ?? null;
  draw(uploader);
  // Streamlit also calls this for a call that a newer one overtook; only a page without the element ends a transfer.
  return () => root.isConnected || uploader.request?.abort();
}

function listen(uploader) {
  const { part } = uploader;
  const choose = () => part("file").click();
  part("file").addEventListener("change", () => {
    const [file] = part("file").files;
    part("file").value = "";
    if (file) send(uploader, file);
  });
  part("button").addEventListener("click", (event) => {
    event.stopPropagation();
    if (uploader.request) uploader.request.abort();
    else choose();
  });
  part("zone").addEventListener("click", () => {
    if (!uploader.request && !uploader.current) choose();
  });
  part("zone").addEventListener("dragover", (event) => {
    event.preventDefault();
    part("zone").classList.toggle("over", !uploader.request);
  });
  part("zone").addEventListener("dragleave", () => part("zone").classList.remove("over"));
  part("zone").addEventListener("drop", (event) => {
    event.preventDefault();
    part("zone").classList.remove("over");
    if (!uploader.request) drop(uploader, event.dataTransfer);
  });
}

function drop(uploader, transfer) {
  const { kind } = uploader.data;
  if (transfer.items[0]?.webkitGetAsEntry?.()?.isDirectory) {
    fail(uploader, `That is a folder. Put it into one .zip file, or choose a ${kind} file.`);
  } else if (transfer.files.length !== 1) {
    fail(uploader, `${transfer.files.length} files were dropped. Drop one file.`);
  } else {
    send(uploader, transfer.files[0]);
  }
}

function unfit(file, { accept, kind, limit_bytes: limitBytes }) {
  if (!accept.some((suffix) => file.name.toLowerCase().endsWith(suffix))) {
    return `“${file.name}” cannot be a ${kind} file: its name must end in ${listed(accept, "or")}.`;
  }
  if (file.size === 0) return `“${file.name}” is empty (0 bytes). Choose another one.`;
  if (limitBytes !== null && file.size > limitBytes) {
    return `“${file.name}” has ${size(file.size)}, but the limit of this server is ${size(limitBytes)}. Choose a smaller file.`;
  }
  return null;
}

function send(uploader, file) {
  const problem = unfit(file, uploader.data);
  if (problem) return fail(uploader, problem);

  const request = new XMLHttpRequest();
  // Streamlit's page paths have one part, so this is right below any base path, also behind a proxy that adds one.
  const name = encodeURIComponent(file.name.replaceAll(/[\\/]/g, "_"));
  request.open("PUT", new URL(`upload/${name}`, new URL("./", document.baseURI)));
  request.setRequestHeader("X-Lwdash-Token", uploader.data.token);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    uploader.transfer.sent = event.loaded;
    draw(uploader);
  });
  request.addEventListener("load", () => {
    const answer = parsed(request.responseText);
    if (request.status === 201) finish(uploader, { sha256: answer.sha256, size_bytes: answer.size_bytes, name: file.name });
    else fail(uploader, answer.error ?? `The server answered ${request.status} ${request.statusText}.`);
  });
  request.addEventListener("error", () =>
    fail(uploader, "The connection to the server was lost, and the file was not stored. Check the server, then send the file again."));
  request.addEventListener("abort", () => fail(uploader, null));
  uploader.request = request;
  uploader.failure = null;
  uploader.transfer = { name: file.name, total: file.size, sent: 0, begun: performance.now() };
  draw(uploader);
  request.send(file);
}

function finish(uploader, uploaded) {
  uploader.request = null;
  uploader.current = uploaded;
  draw(uploader);
  uploader.report(uploaded);
}

function fail(uploader, message) {
  uploader.request = null;
  uploader.failure = message;
  draw(uploader);
}

function draw(uploader) {
  const { part, data, current, failure, request } = uploader;
  const view = request ? "sending" : current ? "done" : failure ? "failed" : "idle";
  const button = part("button");
  part("label").textContent = data.label;
  part("file").accept = data.accept.flatMap((suffix) => [suffix, suffix.slice(suffix.lastIndexOf("."))]).join(",");
  part("zone").dataset.view = view;
  part("icon").classList.toggle("whole", view === "done");
  part("icon").firstElementChild.setAttribute("d", view === "done" ? TICK : ARROW_UP);
  part("progress").hidden = view !== "sending";
  part("error").hidden = !failure;
  part("error").textContent = failure ?? "";
  if (view === "sending") {
    drawProgress(uploader);
    button.textContent = "Cancel";
  } else if (view === "done") {
    part("main").textContent = current.name;
    part("help").textContent = size(current.size_bytes);
    button.textContent = "Replace";
  } else {
    part("main").textContent = `Drop a ${data.kind} file here`;
    part("help").textContent = hint(data);
    button.textContent = "Browse files";
  }
}

function drawProgress({ part, transfer: { name, total, sent, begun } }) {
  const percent = Math.floor((100 * sent) / total);
  const seconds = (performance.now() - begun) / 1000;
  part("main").textContent = name;
  part("bar").style.width = `${percent}%`;
  part("progress").setAttribute("aria-valuenow", percent);
  const left = sent > 0 && seconds > 0.5 ? ` · ${duration((seconds * (total - sent)) / sent)} left` : "";
  part("help").textContent = sent >= total
    ? `${size(total)} sent · the server is storing it`
    : `${percent} % · ${size(sent)} of ${size(total)}${left}`;
}

function hint({ accept, help, limit_bytes: limitBytes }) {
  const most = limitBytes === null ? "" : `, at most ${size(limitBytes)}`;
  return `${help ? `${help.replace(/\.$/, "")} · ` : ""}${listed(accept, "or")}${most}`;
}

function listed(words, last) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const [unit, name] = bytes < 1e6 ? [1e3, "kB"] : bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${(bytes / unit).toLocaleString("en", { maximumSignificantDigits: 3 })} ${name}`;
}

function duration(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
