/* Fetches the fragment of a page again and again. It rests while nobody looks (the tab is hidden), while somebody
   works in the fragment by keyboard, when it is paused, and when the work that it shows has finished. */
"use strict";
(() => {
  const region = document.querySelector("[data-refresh]");
  const pause = document.querySelector("[data-pause]");
  const freshness = document.querySelector("[data-freshness]");
  const seconds = Number(region?.dataset.refresh);
  if (!seconds || !pause) return;
  let paused = false;
  let timer = 0;

  const say = (text) => { freshness.textContent = text; };
  const resting = () => paused || document.hidden || region.contains(document.activeElement);

  const refresh = async () => {
    if (resting()) return;
    try {
      const answer = await fetch(region.dataset.url, { headers: { "X-Requested-With": "fetch" } });
      if (answer.redirected || answer.status === 403) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      if (resting()) return;
      const opened = [...region.querySelectorAll("details")].map((details) => details.open);
      region.innerHTML = html;
      region.querySelectorAll("details").forEach((details, n) => { details.open = opened[n] ?? false; });
      region.dataset.refreshed = String(Number(region.dataset.refreshed ?? 0) + 1);
      say(`As of ${new Date().toLocaleTimeString()}.`);
    } catch (error) {
      say("Not reached. Trying again.");
    }
  };

  const next = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      await refresh();
      if (region.querySelector("[data-finished]")) { pause.hidden = true; return; }
      next();
    }, seconds * 1000);
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? "Paused." : `Every ${seconds} s.`);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  say(`Every ${seconds} s.`);
  next();
})();
