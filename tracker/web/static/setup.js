// Where the machine does not know its time zone, as in a container, the browser mostly does.
const zone = document.querySelector("select[data-guess]");
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && [...zone.options].some((one) => one.value === here)) {
  zone.value = here;
}
