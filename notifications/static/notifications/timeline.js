// Draws a run to scale: one lane for the request and one for each thing that came after, all on one axis.
// A run has times in milliseconds after its request began: response, created, attempts [{begin, end}], end.

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 10; // milliseconds: the shortest scale
const MARGIN = 1.06; // of the scale beyond the last thing
const TICKS = 5;

const lanes = document.getElementById("lanes");
const axis = document.getElementById("axis");

export function draw(run, now) {
  const last = run.end === undefined ? now : Math.max(run.end, run.response ?? 0);
  const scale = Math.max(last, LEAST) * MARGIN;
  fill(lanes, rowsOf(run, now), scale, run.response);
  drawAxis(scale);
  write("response-figure", run.response === undefined ? "…" : inWords(run.response));
  const done = run.end !== undefined && run.attempts;
  write("work-figure", done ? inWords(run.end) : run.end === undefined ? "…" : "–");
}

export function drawRuns(runs) {
  const scale = Math.max(...runs.map((run) => Math.max(run.end, run.response)), LEAST) * MARGIN;
  const rows = runs.map((run) => ({
    key: "run",
    name: run.mode + (run.slow ? ", slow" : ""),
    time: run.mode === "inline" ? `${inWords(run.response)}` : `${inWords(run.response)} of ${inWords(Math.max(run.end, run.response))}`,
    bars: [
      { kind: "rest", begin: run.response, end: Math.max(run.end, run.response) },
      { kind: "answer", begin: 0, end: run.response },
    ],
  }));
  fill(document.getElementById("runs"), rows, scale);
  document.getElementById("earlier").hidden = false;
}

// Milliseconds as people read them.
export function inWords(time) {
  if (time < 10) return `${time.toFixed(1)} ms`;
  return time < 1000 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(2)} s`;
}

function rowsOf(run, now) {
  const answered = run.response !== undefined;
  const request = {
    key: "request",
    name: "request",
    time: answered ? `${run.code} in ${inWords(run.response)}` : inWords(now),
    bars: [{ kind: "request", begin: 0, end: answered ? run.response : now }],
  };
  if (!run.attempts) return [request];
  const running = run.end ?? now;
  const waits = run.attempts.map(({ begin }, n) => ({
    kind: "queued",
    begin: n ? run.attempts[n - 1].end : run.created,
    end: begin,
  }));
  if (run.status === "queued") {
    waits.push({ kind: "queued", begin: run.attempts.at(-1)?.end ?? run.created, end: running });
  }
  const sends = run.attempts.map(({ begin, end, outcome }) => ({
    kind: outcome && outcome !== "sent" ? "sending again" : "sending",
    begin,
    end: end ?? running,
  }));
  const rows = [request, phase("queued", waits)];
  if (sends.length) rows.push(phase("sending", sends));
  if (run.end !== undefined) {
    const dot = { kind: `dot ${run.status}`, begin: run.end, end: run.end };
    rows.push({ key: run.status, name: run.status, time: `at ${inWords(run.end)}`, bars: [dot] });
  }
  return rows;
}

function phase(name, bars) {
  const total = bars.reduce((sum, { begin, end }) => sum + Math.max(0, end - begin), 0);
  return { key: name, name, time: `for ${inWords(total)}`, bars };
}

function fill(list, rows, scale, response) {
  while (list.children.length > rows.length) list.lastElementChild.remove();
  rows.forEach((row, n) => {
    const item = list.children[n] ?? list.appendChild(emptyLane());
    item.className = `lane ${row.key}`;
    const [name, picture, time] = item.children;
    if (name.textContent !== row.name) name.textContent = row.name;
    if (time.textContent !== row.time) time.textContent = row.time;
    const shapes = row.bars.map((bar) => shape(bar, scale));
    if (response !== undefined) shapes.push(line(percent(response, scale), "answered"));
    picture.replaceChildren(...shapes);
  });
}

function emptyLane() {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.className = "name";
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("aria-hidden", "true");
  const time = document.createElement("span");
  time.className = "time";
  item.append(name, picture, time);
  return item;
}

function shape({ kind, begin, end }, scale) {
  const isDot = kind.startsWith("dot");
  const attributes = isDot
    ? { cx: percent(begin, scale), cy: "50%", r: 6 }
    : { x: percent(begin, scale), width: percent(Math.max(0, end - begin), scale), y: "25%", height: "50%", rx: 2 };
  return element(isDot ? "circle" : "rect", { class: kind, ...attributes });
}

function drawAxis(scale) {
  const step = niceStep(scale / TICKS);
  const marks = [];
  for (let time = 0; time <= scale; time += step) {
    const x = percent(time, scale);
    const anchor = time === 0 ? "start" : time > scale * 0.93 ? "end" : "middle";
    const label = element("text", { x, y: 20, "text-anchor": anchor });
    label.textContent = scale < 1000 ? `${time} ms` : `${Number((time / 1000).toFixed(2))} s`;
    marks.push(element("line", { x1: x, x2: x, y1: 0, y2: 5 }), label);
  }
  axis.replaceChildren(...marks);
}

// The next of 1, 2, 5, 10, 20, 50, …
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}

function line(x, kind) {
  return element("line", { class: kind, x1: x, x2: x, y1: 0, y2: "100%" });
}

function percent(time, scale) {
  return `${((100 * time) / scale).toFixed(3)}%`;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function write(id, text) {
  const place = document.getElementById(id);
  if (place.textContent !== text) place.textContent = text;
}
