// What the console does beyond links and forms. Without it every page works; with it, waiting shows.
"use strict";

// A form that takes a while says so, and cannot be sent twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const pressed = event.submitter;
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    if (!pressed || !form.dataset.busy) return;
    pressed.textContent = form.dataset.busy;
    form.setAttribute("aria-busy", "true");
  }, 0);
});

// Back in history, forms can be sent again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// What is shown once is not asked for again by a reload: from here on this page is the question before it.
if (document.querySelector("[data-once]")) history.replaceState(null, "", window.location.href);

// After a failed form, its faults are read first.
document.addEventListener("DOMContentLoaded", () => document.getElementById("faults")?.focus());

// A part that refreshes itself rests while nobody looks, or while someone is in it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target;
  if (document.hidden || part.contains(document.activeElement) || part.querySelector("details[open]")) event.preventDefault();
});

// A session that has ended answers with the sign-in page: go there instead of showing it inside.
document.addEventListener("htmx:beforeSwap", (event) => {
  const xhr = event.detail.xhr;
  if (xhr.responseURL && new URL(xhr.responseURL).pathname === "/sign-in") {
    event.detail.shouldSwap = false;
    window.location.assign(xhr.responseURL);
  }
});

// What changed in such a part is spoken as one sentence, and only when it changed.
document.addEventListener("htmx:afterSettle", (event) => {
  const spoken = document.getElementById("spoken");
  const summary = event.target.dataset?.summary ?? document.querySelector("[data-summary]")?.dataset.summary;
  if (spoken && summary && spoken.dataset.last !== summary) {
    if (spoken.dataset.last) spoken.textContent = summary;
    spoken.dataset.last = summary;
  }
});
