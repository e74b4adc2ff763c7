"use strict";

// Tables: a click on a heading sorts by its column, largest numbers first; a second click turns the order round.
(() => {
  const collator = new Intl.Collator("en", { numeric: true });

  function sortKey(row, column) {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number.parseFloat(cell.dataset.value);
  }

  function compare(a, b, direction) {
    if (typeof a === "string") return direction * collator.compare(a, b);
    // Methods without a number stay at the end, whichever way the others are sorted.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return direction * (a - b);
  }

  function sortBy(table, heading) {
    const column = heading.cellIndex;
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const second = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", order);
    const direction = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((a, b) => compare(sortKey(a, column), sortKey(b, column), direction));
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      heading.querySelector("button").addEventListener("click", () => sortBy(table, heading));
    }
  }
})();
