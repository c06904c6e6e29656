// Draws the table of every figure[data-chart] above it. What the numbers are, and where they lead, stands in the table.

const STYLE = getComputedStyle(document.documentElement);
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const SLICES = ["recurring", "other", "series-3", "series-4", "series-5", "series-6"];
/** What follows a colour where it is half as strong, as in the small pictures of streams. */
const LIGHTER = "8c";
const colour = (name) => STYLE.getPropertyValue(`--${name}`).trim();

/** The table as it was sent: columns with their colours, rows with texts, numbers (null: unknown) and links. */
function read(figure) {
  const heads = [...figure.querySelectorAll("thead th[data-series]")];
  const columns = heads.map((head) => ({ name: head.textContent.trim(), colour: head.dataset.series }));
  const rows = [...figure.querySelectorAll("tbody tr")].map((row) => {
    const cells = [...row.querySelectorAll("td[data-value]")];
    const link = row.querySelector("th a");
    return {
      label: (link ?? row.querySelector("th .label")).textContent.trim().replace(/\s+/g, " "),
      href: link?.getAttribute("href"),
      sum: row.dataset.sum !== undefined,
      runs: row.dataset.runs !== undefined,
      values: columns.map((_, at) => (cells[at]?.dataset.value ? Number(cells[at].dataset.value) : null)),
      exact: columns.map((_, at) => cells[at]?.dataset.value ?? ""),
      texts: columns.map((_, at) => cells[at]?.textContent.trim() ?? "–"),
    };
  });
  if (figure.dataset.newestFirst !== undefined) rows.reverse();
  return { columns, rows };
}

function bars({ columns, rows }) {
  return columns.map((column, at) => ({
    label: column.name,
    data: rows.map((row) => row.values[at]),
    backgroundColor: rows.map((row) => colour(column.colour) + (row.runs ? LIGHTER : "")),
    borderRadius: 2,
    maxBarThickness: 56,
  }));
}

function lines({ columns, rows }) {
  return columns.map((column, at) => ({
    label: column.name,
    data: rows.map((row) => row.values[at]),
    borderColor: colour(column.colour),
    backgroundColor: colour(column.colour),
    borderWidth: 2,
    pointRadius: rows.length > 40 ? 0 : 3,
    pointHoverRadius: 6,
    tension: 0,
  }));
}

/** Where every movement begins and ends: at the end of the one before it; a sum stands on the ground. */
function edges(rows) {
  let level = 0;
  return rows.map((row) => {
    const value = row.values[0] ?? 0;
    const from = row.sum ? 0 : level;
    level = row.sum ? value : level + value;
    return [from, level];
  });
}

/** Where the scale of a waterfall begins: at a round number below, where movements would be slivers seen from zero. */
function ground(rows) {
  const levels = edges(rows).map((edge) => edge[1]);
  const [least, most] = [Math.min(...levels), Math.max(...levels)];
  const span = most - least;
  if (!(span > 0) || least <= 0 || span > most / 4) return 0;
  const unit = 10 ** Math.floor(Math.log10(span));
  return Math.max(0, Math.floor((least - span / 2) / unit) * unit);
}

/** Floating bars. */
function steps({ columns, rows }) {
  const data = edges(rows);
  const fill = rows.map((row) => colour(row.sum ? "series-3" : (row.values[0] ?? 0) < 0 ? "alarm" : "good"));
  return [{ label: columns[0].name, data, backgroundColor: fill, borderRadius: 2, maxBarThickness: 72 }];
}

function slices({ columns, rows }) {
  const data = rows.map((row) => Math.max(row.values[0] ?? 0, 0));
  const fill = rows.map((_, at) => colour(SLICES[at % SLICES.length]));
  return [{ label: columns[0].name, data, backgroundColor: fill, borderColor: colour("card"), borderWidth: 2 }];
}

const KINDS = {
  stacked: { type: "bar", sets: bars, axes: { stacked: true } },
  line: { type: "line", sets: lines, axes: {} },
  waterfall: { type: "bar", sets: steps, axes: {} },
  doughnut: { type: "doughnut", sets: slices, axes: null },
};

/** Round numbers for the axis, as the page's language writes them. */
function ticks(currency) {
  const style = currency ? { style: "currency", currency, notation: "compact" } : { notation: "compact" };
  const format = new Intl.NumberFormat(document.documentElement.lang || "en", { ...style, maximumFractionDigits: 1 });
  return (value) => format.format(value);
}

function told(row, columns, kind) {
  const single = kind === "waterfall" || kind === "doughnut";
  const parts = row.texts.slice(0, single ? 1 : undefined).map((text, at) => (single ? text : `${columns[at].name} ${text}`));
  return `${row.label}: ${parts.join(", ")}`;
}

function options(figure, table, kind) {
  const { rows, columns } = table;
  const least = figure.dataset.chart === "waterfall" && ground(rows) > 0 ? { beginAtZero: false, min: ground(rows) } : {};
  const axis = { grid: { color: colour("line") }, border: { display: false }, ticks: { color: colour("faint") } };
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: STILL.matches ? false : { duration: 250 },
    interaction: { mode: kind.axes ? "index" : "nearest", intersect: !kind.axes },
    onClick: (event, found) => follow(rows[found[0]?.index]),
    onHover: (event, found) => {
      event.native.target.style.cursor = rows[found[0]?.index]?.href ? "pointer" : "default";
    },
    scales: kind.axes
      ? {
          x: { ...axis, ...kind.axes, grid: { display: false } },
          y: { ...axis, ...kind.axes, beginAtZero: true, ...least, ticks: { ...axis.ticks, maxTicksLimit: 6, callback: ticks(figure.dataset.currency) } },
        }
      : {},
    plugins: {
      legend: { display: !kind.axes, position: "right", labels: { color: colour("ink"), boxWidth: 12 } },
      tooltip: {
        callbacks: {
          label: (point) => {
            const name = kind.axes ? columns[point.datasetIndex].name : rows[point.dataIndex].label;
            return ` ${name}: ${rows[point.dataIndex].texts[point.datasetIndex]}`;
          },
        },
      },
    },
  };
}

function follow(row) {
  if (row?.href) location.assign(row.href);
}

/** Arrow keys go through the points, Enter opens what is behind one. */
function keys(figure, chart, { rows, columns }) {
  const live = figure.querySelector("[aria-live]");
  let at = -1;
  const go = (to) => {
    at = Math.min(Math.max(to, 0), rows.length - 1);
    const points = chart.data.datasets.map((_, datasetIndex) => ({ datasetIndex, index: at }));
    chart.setActiveElements(points);
    chart.tooltip.setActiveElements(points, { x: 0, y: 0 });
    chart.update("none");
    live.textContent = told(rows[at], columns, figure.dataset.chart);
  };
  chart.canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 };
    if (event.key in moves && rows.length) go(moves[event.key]);
    else if (event.key === "Enter" && at >= 0) follow(rows[at]);
    else return;
    event.preventDefault();
  });
  chart.canvas.addEventListener("blur", () => {
    at = -1;
    chart.setActiveElements([]);
    chart.tooltip.setActiveElements([], { x: 0, y: 0 });
    chart.update("none");
  });
}

// --- saving ---

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** With a ground, a title, and what the colours mean, so that it can be read wherever it is put. */
function picture(figure, chart, { columns }) {
  chart.tooltip.opacity = 0;
  chart.draw();
  const ratio = chart.currentDevicePixelRatio;
  const [left, top] = [16 * ratio, 44 * ratio];
  const canvas = document.createElement("canvas");
  canvas.width = chart.canvas.width + 2 * left;
  canvas.height = chart.canvas.height + top + left;
  const brush = canvas.getContext("2d");
  brush.fillStyle = colour("card");
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.fillStyle = colour("ink");
  brush.font = `600 ${16 * ratio}px system-ui, sans-serif`;
  let at = left;
  const write = (text) => {
    brush.fillStyle = colour("ink");
    brush.fillText(text, at, 28 * ratio);
    at += brush.measureText(text).width + 24 * ratio;
  };
  write(figure.querySelector("figcaption :first-child").textContent.trim());
  brush.font = `${13 * ratio}px system-ui, sans-serif`;
  for (const column of figure.querySelector(".key") ? columns : []) {
    brush.fillStyle = colour(column.colour);
    brush.fillRect(at, 18 * ratio, 11 * ratio, 11 * ratio);
    at += 17 * ratio;
    write(column.name);
  }
  brush.drawImage(chart.canvas, left, top);
  canvas.toBlob((blob) => save(blob, `${figure.id}.png`));
}

/** No text begins as a formula would in a spreadsheet; numbers are exact, with a point. */
function sheet(figure, { columns, rows }) {
  const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const head = [figure.querySelector("thead th").textContent.trim(), ...columns.map((column) => column.name)].map(cell);
  const body = rows.map((row) => [cell(row.label), ...row.exact]);
  const text = [head, ...body].map((line) => line.join(",")).join("\r\n");
  save(new Blob(["\ufeff", text, "\r\n"], { type: "text/csv;charset=utf-8" }), `${figure.id}.csv`);
}

// --- all of them ---

function draw(figure) {
  const kind = KINDS[figure.dataset.chart];
  const table = read(figure);
  if (!kind || !table.rows.length || !table.columns.length) return;
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", figure.dataset.label);
  figure.querySelector(".plot").append(canvas);
  const data = () => ({ labels: table.rows.map((row) => row.label), datasets: kind.sets(table) });
  const chart = new Chart(canvas, { type: kind.type, data: data(), options: options(figure, table, kind) });
  figure.classList.add("drawn");
  keys(figure, chart, table);
  if (figure.dataset.chart === "waterfall" && ground(table.rows) > 0) {
    const said = figure.querySelector(".begins");
    said.textContent = said.dataset.said.replace("{}", ticks(figure.dataset.currency)(ground(table.rows)));
    said.hidden = false;
  }
  const renew = () => {
    chart.data = data();
    chart.options = options(figure, table, kind);
    chart.update("none");
  };
  DARK.addEventListener("change", renew);
  STILL.addEventListener("change", renew);
  figure.querySelector(".chart-tools").hidden = false;
  figure.querySelector("[data-save=png]").addEventListener("click", () => picture(figure, chart, table));
  figure.querySelector("[data-save=csv]").addEventListener("click", () => sheet(figure, table));
}

if (window.Chart) {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.querySelectorAll("figure[data-chart]").forEach(draw);
}
