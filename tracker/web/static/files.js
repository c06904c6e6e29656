// A file that is too large is refused here, before it is sent for minutes and then refused there.
for (const input of document.querySelectorAll("input[data-most]")) {
  input.addEventListener("change", () => {
    const over = [...input.files].some((file) => file.size > Number(input.dataset.most));
    input.setCustomValidity(over ? input.dataset.over : "");
    input.reportValidity();
  });
}
