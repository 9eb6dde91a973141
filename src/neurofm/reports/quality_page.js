"use strict";

// The parts without a page, tried by tests.

/** What a cell is sorted by: a number, a lower-case text, or null where it is empty. */
function sortValue(text) {
  const plain = text.trim();
  if (plain === "") return null;
  const number = Number(plain.replace(/,/g, "").replace("\u2212", "-"));
  return Number.isNaN(number) ? plain.toLowerCase() : number;
}

/** Order of two values: numbers before texts; empty cells last, whatever the direction. */
function compareValues(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
  return direction * order;
}

/** Whether a scan is shown: it has the verdict, and its text holds every word of the search. */
function isWanted(scan, verdict, search) {
  if (verdict !== "all" && scan.verdict !== verdict) return false;
  return search.toLowerCase().split(/\s+/).every((word) => scan.text.includes(word));
}

// The page.

function start() {
  const body = document.querySelector("#scans tbody");
  const scans = Array.from(body.rows, (row) => ({
    row,
    verdict: row.dataset.verdict,
    text: Array.from(row.querySelectorAll("[data-search]"), (cell) => cell.textContent).join(" ").toLowerCase(),
  }));
  const state = { verdict: "all", search: "" };
  const buttons = Array.from(document.querySelectorAll("button[data-verdict]"));
  const search = document.getElementById("search");
  const status = document.getElementById("shown");
  const order = document.getElementById("order");

  function show() {
    let shown = 0;
    for (const scan of scans) {
      scan.row.hidden = !isWanted(scan, state.verdict, state.search);
      shown += scan.row.hidden ? 0 : 1;
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.verdict === state.verdict));
    status.textContent = `${shown} of ${scans.length} scans shown`;
  }

  function sort(column, direction) {
    const values = new Map(scans.map(({ row }) => {
      const cell = row.cells[column];
      return [row, cell ? sortValue(cell.dataset.value ?? cell.textContent) : null];
    }));
    const rows = scans.map((scan) => scan.row);
    rows.sort((a, b) => compareValues(values.get(a), values.get(b), direction));
    body.append(...rows);
    for (const head of document.querySelectorAll("#scans thead th")) {
      head.removeAttribute("aria-sort");
      if (head.cellIndex === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    }
    order.value = `${column} ${direction}`;
  }

  for (const button of buttons) {
    button.addEventListener("click", () => { state.verdict = button.dataset.verdict; show(); });
  }
  search.addEventListener("input", () => { state.search = search.value; show(); });
  for (const button of document.querySelectorAll("#scans thead button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      sort(head.cellIndex, head.getAttribute("aria-sort") === "ascending" ? -1 : 1);
    });
  }
  order.addEventListener("change", () => sort(...order.value.split(" ").map(Number)));
  for (const link of document.querySelectorAll("a.to-scan")) {
    link.addEventListener("click", () => { state.verdict = "all"; state.search = search.value = ""; show(); });
  }
  document.querySelector(".controls").hidden = false;
  show();
  startPictures(scans);
}

function startPictures(scans) {
  const dialog = document.querySelector("dialog");
  const image = dialog.querySelector("img");
  const words = dialog.querySelector("p");
  const [previous, next, close] = dialog.querySelectorAll("button");
  let open = null;

  const shown = () => Array.from(document.querySelectorAll("#scans tbody tr:not([hidden]) [data-picture]"));

  function enlarge(thumbnail) {
    open = thumbnail;
    const row = thumbnail.closest("tr");
    image.src = thumbnail.dataset.picture;
    words.textContent = Array.from(row.querySelectorAll("[data-told]"), (part) => part.textContent.trim())
      .filter((text) => text !== "").join(" · ");
    image.alt = `Enlarged: ${thumbnail.querySelector("img").alt}`;
    const all = shown();
    previous.disabled = all.indexOf(thumbnail) <= 0;
    next.disabled = all.indexOf(thumbnail) >= all.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  function move(step) {
    const all = shown();
    const other = all[all.indexOf(open) + step];
    if (other) enlarge(other);
  }

  for (const { row } of scans) {
    const thumbnail = row.querySelector("[data-picture]");
    if (thumbnail) thumbnail.addEventListener("click", (event) => { event.preventDefault(); enlarge(thumbnail); });
  }
  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => open.focus());
}

if (typeof document !== "undefined") start();
