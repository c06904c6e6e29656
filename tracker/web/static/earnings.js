// One box that chooses all rows of the page; without it, each row has its own.
const form = document.getElementById("deciding");
const boxes = form ? [...form.querySelectorAll('input[name="earning"]')] : [];
if (boxes.length > 1) {
  const said = form.querySelector("[data-count]");
  const number = new Intl.NumberFormat(document.documentElement.lang || "en");
  const head = form.querySelector("thead th");
  const all = document.createElement("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", form.dataset.all);
  head.prepend(all, " ");
  const told = () => {
    const count = boxes.filter((box) => box.checked).length;
    said.textContent = count ? `(${number.format(count)})` : "";
    all.checked = count === boxes.length;
    all.indeterminate = count > 0 && count < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    told();
  });
  form.addEventListener("change", (event) => {
    if (event.target !== all) told();
  });
  told();
}
