// The first page: asks the API like any client, measures with the browser's clock, and has the answer drawn.
// Without this script the form is posted, and the server draws.

import { draw, drawRuns, inWords } from "./timeline.js";

const LOOK = { first: 30, last: 250 }; // milliseconds between two looks at a notification
const LONG_QUEUED = 8000; // milliseconds until one wonders whether anybody works
const KEPT = 4; // earlier runs that are compared

const form = document.getElementById("send");
const button = form.querySelector("button");
const timeline = document.getElementById("timeline");
const said = document.getElementById("said");
const asked = document.getElementById("asked");
const runs = [];

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  forgetErrors();
  if (form.getBoundingClientRect().bottom > innerHeight) timeline.scrollIntoView();
  const run = { mode: form.elements.via.value, slow: Boolean(form.elements.slow?.checked), start: performance.now() };
  const drawing = animate(run);
  try {
    show(run, "requesting", "The request is on its way.");
    await send(run);
    if (run.location && timeline.dataset.mayView === "true") await follow(run);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // what fetch raises
    run.end = performance.now() - run.start;
    show(run, "failed", "The service does not answer. Is it running?");
  } finally {
    drawing.stop();
    button.disabled = false;
  }
});

// --- the request ------------------------------------------------------------------------------------------

async function send(run) {
  const response = await (run.mode === "inline" ? postInline() : postToAPI(run));
  run.response = performance.now() - run.start;
  run.code = response.status;
  if (!response.ok) {
    run.end = run.response;
    await showErrors(response);
    return show(run, "refused", `Refused after ${inWords(run.response)}: nothing was stored.`);
  }
  run.location = response.headers.get("Location");
  tellWhatWasAsked(run);
  show(run, "answered", `Response after ${inWords(run.response)}.`);
  if (timeline.dataset.mayView !== "true") run.end = run.response;
}

function postToAPI(run) {
  const { recipient, message } = form.elements;
  const order = { recipient: recipient.value, message: message.value, via: run.mode };
  if (run.slow) order.channel = "demo";
  return fetch(form.dataset.api, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(order),
  });
}

function postInline() {
  return fetch(form.dataset.inline, {
    method: "POST",
    headers: { "X-CSRFToken": csrfToken() },
    body: new URLSearchParams(new FormData(form)),
  });
}

function csrfToken() {
  return form.elements.csrfmiddlewaretoken.value;
}

// --- what becomes of it -----------------------------------------------------------------------------------

async function follow(run) {
  let pause = LOOK.first;
  for (;;) {
    const answer = await fetch(run.location, { headers: { Accept: "application/json" } });
    if (!answer.ok) {
      run.end = performance.now() - run.start;
      return show(run, "failed", `What became of it cannot be seen: the service answered ${answer.status}.`);
    }
    read(run, await answer.json());
    if (run.end !== undefined) break;
    tellProgress(run);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 1.3, LOOK.last);
  }
  const end = run.status === "sent" ? `Sent after ${inWords(run.end)}.` : `It ended as ${run.status}: ${run.error}`;
  show(run, run.status, `Response after ${inWords(run.response)}. ${end}`);
  runs.unshift(run);
  runs.length = Math.min(runs.length, KEPT);
  drawRuns(runs);
}

// The server's times on the browser's scale. Both clocks are one on the same machine; where they are not, the
// server's is set so that it accepted the notification in the middle of the request.
function read(run, notification) {
  const created = Date.parse(notification.created_at);
  const origin = performance.timeOrigin + run.start;
  const plausible = created >= origin - 1 && created <= origin + run.response;
  const zero = plausible ? origin : created - run.response / 2;
  const at = (time) => Math.max(0, Date.parse(time) - zero);
  run.created = at(notification.created_at);
  run.attempts = notification.attempts.map((attempt) => ({
    begin: at(attempt.started_at),
    end: attempt.finished_at ? at(attempt.finished_at) : undefined,
    outcome: attempt.outcome,
  }));
  run.status = notification.status;
  run.error = notification.attempts.at(-1)?.error ?? "";
  run.end = notification.finished_at ? at(notification.finished_at) : undefined;
}

function tellProgress(run) {
  const waits = performance.now() - run.start - run.response > LONG_QUEUED;
  const hint = run.status === "queued" && waits ? " Still waiting: is a worker running (make worker)?" : "";
  const tried = run.attempts.filter((attempt) => attempt.end !== undefined).length;
  const again = tried ? ` ${tried} failed so far.` : "";
  show(run, run.status, `Response after ${inWords(run.response)}. Now it is ${run.status}.${again}${hint}`);
}

function tellWhatWasAsked(run) {
  const link = document.createElement("a");
  link.href = run.location;
  link.textContent = "the notification";
  const address = run.mode === "inline" ? form.dataset.inline : form.dataset.api;
  asked.replaceChildren(`POST ${address} was answered ${run.code}, and there is `, link, ".");
  asked.hidden = false;
}

// --- the page ---------------------------------------------------------------------------------------------

function show(run, status, words) {
  timeline.dataset.status = status;
  if (said.textContent !== words) said.textContent = words; // said aloud once
  draw(run, performance.now() - run.start);
}

function animate(run) {
  let handle;
  const frame = () => {
    draw(run, performance.now() - run.start);
    handle = requestAnimationFrame(frame);
  };
  handle = requestAnimationFrame(frame);
  return { stop: () => cancelAnimationFrame(handle) };
}

function forgetErrors() {
  for (const place of form.querySelectorAll(".error")) place.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}

async function showErrors(response) {
  const isJSON = (response.headers.get("Content-Type") ?? "").includes("json");
  const problem = isJSON ? await response.json() : { detail: `The service answered ${response.status}.` };
  const errors = problem.errors ?? [{ pointer: "", detail: problem.detail }];
  for (const { pointer, detail } of errors) {
    const name = (pointer ?? "").slice(1);
    const place = document.getElementById(`${name}-error`) ?? document.getElementById("form-error");
    place.textContent = detail;
    const field = document.getElementById(name);
    field?.setAttribute("aria-invalid", "true");
    field?.focus();
  }
}
