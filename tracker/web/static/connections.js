// Connections: what moves is looked at again every second, the catalogue is filtered while one types, and a form whose
// answer takes a while says so. Every page works without it.

const SECOND = 1000;
const PATIENCE = 10; // failures in a row, after which nothing is asked any more

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function look(address) {
  const answer = await fetch(address, { redirect: "error", cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("[data-live]");
}

// Only numbers that changed are written, so that what is read out or has the focus stays as it is.
function renew(place, fresh) {
  if (fresh.dataset.look !== place.dataset.look) return location.reload();
  for (const now of fresh.querySelectorAll("[data-now]")) {
    const old = place.querySelector(`[data-now="${CSS.escape(now.dataset.now)}"]`);
    if (!old) return location.reload();
    if (old.textContent !== now.textContent) old.textContent = now.textContent;
  }
  place.dataset.moving = fresh.dataset.moving;
}

async function watch(place) {
  for (let failures = 0; place.dataset.moving === "yes" && failures < PATIENCE; ) {
    await wait(document.hidden ? 5 * SECOND : SECOND);
    try {
      const fresh = await look(place.dataset.live);
      if (!fresh) return;
      failures = 0;
      renew(place, fresh);
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
