// Something goes on: the sentence about it is looked at again every second, and nothing else on the page is touched.
// Once it is over the sentence goes, or the page is loaded anew where it then shows something else.

const SECOND = 1000;
const PATIENCE = 10; // failures in a row, after which nothing is asked any more
const told = document.querySelector("[data-again]");

async function look() {
  const answer = await fetch(location.href, { redirect: "error", cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-again]");
  if (fresh && fresh.textContent !== told.textContent) told.textContent = fresh.textContent;
  return fresh !== null;
}

async function watch() {
  for (let failures = 0; failures < PATIENCE; ) {
    await new Promise((done) => setTimeout(done, document.hidden ? 5 * SECOND : SECOND));
    try {
      if (!(await look())) return told.dataset.again === "reload" ? location.reload() : told.remove();
      failures = 0;
    } catch {
      failures += 1;
    }
  }
}

if (told) watch();
