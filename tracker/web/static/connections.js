// Connections: what moves is looked at again every second, the catalogue is filtered while one types, and a form whose
// answer takes a while says so. Every page works without it.

const SECOND = 1000;
const PATIENCE = 10; // failures in a row, after which nothing is asked any more

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function parsed(address) {
  const answer = await fetch(address, { redirect: "error", cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Only numbers that changed are written, so that what is read out or has the focus stays as it is. Answers false where
// the two are not alike.
function count(place, fresh) {
  if (fresh.dataset.look !== place.dataset.look) return false;
  const pairs = [...fresh.querySelectorAll("[data-now]")].map((now) => [
    place.querySelector(`[data-now="${CSS.escape(now.dataset.now)}"]`),
    now,
  ]);
  if (pairs.some(([old]) => !old)) return false;
  for (const [old, now] of pairs) if (old.textContent !== now.textContent) old.textContent = now.textContent;
  place.dataset.moving = fresh.dataset.moving;
  return true;
}

// What stands otherwise now is put in place, without loading the page anew: its notice, and what somebody has opened to
// fill it in, stay as they are. Answers what is to be watched from then on.
async function renew(place, fresh) {
  if (!place.dataset.page) {
    place.replaceWith(fresh);
    return fresh;
  }
  const page = await parsed(place.dataset.page);
  for (const part of page.querySelectorAll("[data-fresh]")) {
    const old = document.getElementById(part.id);
    if (!old || old.querySelector(".chore[open], .chore :focus")) continue;
    const held = old.contains(document.activeElement) ? document.activeElement.textContent : null;
    old.replaceWith(part);
    part.querySelectorAll("[data-busy]").forEach(busy);
    if (held !== null) [...part.querySelectorAll("a, button, summary")].find((one) => one.textContent === held)?.focus();
  }
  return document.querySelector("[data-live]");
}

async function watch(place) {
  for (let failures = 0; place && place.dataset.moving === "yes" && failures < PATIENCE; ) {
    await wait(document.hidden ? 5 * SECOND : SECOND);
    try {
      const fresh = (await parsed(place.dataset.live)).querySelector("[data-live]");
      if (!fresh) return;
      if (!count(place, fresh)) place = await renew(place, fresh);
      failures = 0;
    } catch {
      failures += 1;
    }
  }
}

function filter(input) {
  const rows = [...document.querySelectorAll(`#${input.dataset.filter} > li`)];
  const none = document.getElementById(`${input.dataset.filter}-none`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.dataset.words.includes(word));
    none.hidden = rows.some((row) => !row.hidden);
  });
}

function busy(form) {
  form.addEventListener("submit", () => {
    // Afterwards, because a disabled button would not be sent.
    setTimeout(() => {
      for (const button of form.querySelectorAll("button")) button.disabled = true;
      for (const told of form.querySelectorAll("[data-busy-told]")) told.hidden = false;
    });
  });
  addEventListener("pageshow", () => {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  });
}

document.querySelectorAll("[data-live]").forEach(watch);
document.querySelectorAll("[data-filter]").forEach(filter);
document.querySelectorAll("[data-busy]").forEach(busy);
