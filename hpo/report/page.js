// What a report does: draws its figures when they are needed, in its colours, and sorts and filters its trials.
"use strict";

const root = document.documentElement;
const drawings = [...document.querySelectorAll(".drawing")];
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const coarse = window.matchMedia("(pointer: coarse)").matches;
const PRINTED = 680; // pixels: the width of a drawing on paper

function read(node) {
  return JSON.parse(document.getElementById(node.dataset.source).textContent);
}

// -- figures

function colours(layout) {
  const style = getComputedStyle(document.body);
  const ink = style.color, rule = style.outlineColor, paper = style.backgroundColor, none = "rgba(0,0,0,0)";
  const change = {
    "paper_bgcolor": none, "plot_bgcolor": none, "font.color": ink, "legend.bgcolor": none,
    "hoverlabel.bgcolor": paper, "hoverlabel.bordercolor": ink, "hoverlabel.font.color": ink,
    "modebar.bgcolor": none, "modebar.color": rule, "modebar.activecolor": ink,
  };
  for (const axis of Object.keys(layout).concat("xaxis", "yaxis").filter(key => /^[xy]axis\d*$/.test(key))) {
    for (const part of ["gridcolor", "linecolor", "zerolinecolor", "tickcolor"]) change[`${axis}.${part}`] = rule;
  }
  return change;
}

function put(layout, path, value) {
  const names = path.split("."), last = names.pop();
  let place = layout;
  for (const name of names) place = place[name] ??= {};
  place[last] = value;
}

function draw(node) {
  if (node.dataset.drawn) return;
  node.dataset.drawn = "yes";
  watcher.unobserve(node);
  try {
    const figure = read(node), layout = figure.layout ?? {};
    for (const [path, value] of Object.entries(colours(layout))) put(layout, path, value);
    if (coarse) layout.dragmode = false; // a finger scrolls the page
    put(layout, "font.family", getComputedStyle(document.body).fontFamily);
    Plotly.newPlot(node, figure.data, layout, {
      displayModeBar: coarse ? false : "hover",
      displaylogo: false,
      showSendToCloud: false,
      showTips: false,
      plotlyServerURL: "",
      modeBarButtonsToRemove: ["select2d", "lasso2d"],
      toImageButtonOptions: { filename: node.dataset.name },
    });
    sizes.observe(node);
  } catch (error) {
    const words = document.createElement("p");
    words.className = "failed";
    words.textContent = "This drawing failed; its data is below.";
    node.replaceChildren(words);
    console.error(error);
  }
}

const watcher = new IntersectionObserver(
  entries => entries.filter(entry => entry.isIntersecting).forEach(entry => draw(entry.target)),
  { rootMargin: "500px 0px" },
);

const sizes = new ResizeObserver(entries => {
  for (const { target, contentRect } of entries) {
    const width = Math.floor(contentRect.width);
    if (width > 0 && target.layout && Math.floor(target._fullLayout.width) !== width) Plotly.Plots.resize(target);
  }
});

// -- light and dark

function isDark() {
  return (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
}

function recolour(more = {}, nodes = drawings) {
  root.classList.toggle("dark", isDark());
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  for (const node of nodes) { // what is folded away has no size to be laid out in
    if (node.layout && node.clientWidth > 0) Plotly.relayout(node, { ...colours(node.layout), ...more });
  }
}

const button = document.getElementById("theme");
button.hidden = false;
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  recolour();
});
dark.addEventListener("change", () => recolour());
for (const details of document.querySelectorAll("details.folded")) {
  details.addEventListener("toggle", () => recolour({}, details.querySelectorAll(".drawing")));
}

// -- on paper everything is open, drawn, and light

let before = null;

window.addEventListener("beforeprint", () => {
  const closed = [...document.querySelectorAll("details.folded:not([open])")];
  before = { theme: root.dataset.theme, closed };
  for (const details of closed) details.open = true;
  root.dataset.theme = "light";
  sizes.disconnect();
  drawings.forEach(draw);
  recolour({ width: PRINTED });
});

window.addEventListener("afterprint", () => {
  if (before === null) return;
  if (before.theme) root.dataset.theme = before.theme;
  else delete root.dataset.theme;
  recolour({ width: null, autosize: true });
  for (const details of before.closed) details.open = false;
  before = null;
  for (const node of drawings) if (node.layout) sizes.observe(node);
});

// -- trials

function shown(cell) {
  if (typeof cell !== "number") return cell ?? "";
  return cell !== 0 && Math.abs(cell) < 1e-4 ? cell.toExponential() : String(cell);
}

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, undefined, { numeric: true });
}

function trials(part) {
  const { head, rows } = read(part);
  const body = part.querySelector("tbody"), box = part.querySelector("input"), count = part.querySelector("output");
  const lines = rows.map(cells => {
    const line = document.createElement("tr");
    for (const cell of cells) {
      const place = line.insertCell();
      place.textContent = shown(cell);
      if (typeof cell === "number") place.className = "number";
    }
    return { line, cells, text: cells.map(shown).join("\n").toLowerCase() };
  });

  const show = () => body.replaceChildren(...lines.map(({ line }) => line));
  const filter = () => {
    const wanted = box.value.trim().toLowerCase();
    let found = 0;
    for (const { line, text } of lines) {
      line.hidden = !text.includes(wanted);
      found += !line.hidden;
    }
    count.textContent = `${found.toLocaleString("en")} of ${lines.length.toLocaleString("en")} trials`;
  };

  const names = part.querySelector("thead").insertRow();
  head.forEach((name, column) => {
    const place = document.createElement("th"), button = document.createElement("button");
    place.scope = "col";
    place.setAttribute("aria-sort", column === 0 ? "ascending" : "none");
    if (rows.every(row => row[column] === null || typeof row[column] === "number")) place.className = "number";
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      const down = place.getAttribute("aria-sort") === "ascending";
      for (const other of names.cells) other.setAttribute("aria-sort", "none");
      place.setAttribute("aria-sort", down ? "descending" : "ascending");
      lines.sort((a, b) => {
        const x = a.cells[column], y = b.cells[column];
        if (x === null || y === null) return (x === null) - (y === null); // those without a value come last
        return down ? order(y, x) : order(x, y);
      });
      show();
    });
    place.append(button);
    names.append(place);
  });

  box.addEventListener("input", filter);
  show();
  filter();
}

document.querySelectorAll(".trials[data-source]").forEach(part => {
  if (part.querySelector("table")) trials(part);
});
recolour();
for (const node of drawings) watcher.observe(node);
