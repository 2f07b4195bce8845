"use strict";
// Tables: a click on a header sorts, texts and menus filter.
(() => {
  const valueOf = (row, column) => {
    const value = row.cells[column].dataset.value;
    if (value === undefined) return null; // nothing, which comes last either way
    return row.cells[column].classList.contains("number") ? Number(value) : value;
  };

  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  };

  const sort = (table, column) => {
    const header = table.tHead.rows[0].cells[column];
    const before = header.getAttribute("aria-sort");
    const first = header.classList.contains("number") ? "descending" : "ascending";
    const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(valueOf(a, column), valueOf(b, column), sign));
    table.tBodies[0].append(...rows);
  };

  const setUpFilters = (form, table) => {
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows];
    const textOf = (row, column) => row.cells[column].textContent.trim();
    const menus = [...form.querySelectorAll("select")].map((menu) => {
      const column = names.indexOf(menu.dataset.filterColumn);
      const values = new Set(rows.map((row) => textOf(row, column)));
      for (const value of [...values].sort()) menu.add(new Option(value, value));
      return { menu, column };
    });
    const filter = () => {
      const wanted = form.querySelector("[data-filter-text]").value.trim().toLowerCase();
      let numShown = 0;
      for (const row of rows) {
        const fits = menus.every(({ menu, column }) => !menu.value || textOf(row, column) === menu.value);
        row.hidden = !(fits && row.textContent.toLowerCase().includes(wanted));
        numShown += !row.hidden;
      }
      form.querySelector("output").textContent = `${numShown} of ${rows.length}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  };

  for (const part of document.querySelectorAll(".table")) {
    const table = part.querySelector("table");
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      cell.querySelector("button").addEventListener("click", () => sort(table, column));
    });
    const form = part.querySelector("form");
    if (form) setUpFilters(form, table);
  }
})();
