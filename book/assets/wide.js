// What is wider than its place, in whatever font and window: a table is set smaller, then as cards; what still scrolls
// can be reached by keyboard and has a name.
(function () {
  "use strict";
  const TABLES = ".pst-scrollable-table-container, .cell_output > .output:has(> div > table, > table)";
  const SCROLLING = TABLES + ", pre, figure, .cell_output, .cell_output > .output, mjx-container, span.math";
  const KINDS = [["table", "Table"], ["pre", "Code"], ["mjx-container", "Formula"], ["img", "Picture"]];

  const overflows = (element) => element.scrollWidth > element.clientWidth + 1;

  function title(element) {
    const [, kind] = KINDS.find(([tag]) => element.matches(tag) || element.querySelector(tag)) || ["", "Output"];
    const caption = element.querySelector("caption, figcaption"), picture = element.querySelector("img[alt]");
    const heading = element.closest("section")?.querySelector("h1, h2, h3, h4");
    const text = caption?.textContent || (kind === "Picture" && picture?.alt) || heading?.textContent || document.title;
    return kind + ": " + text.replace("#", "").trim();
  }

  // Set as cards, a table is one only by its roles, and every cell carries the title of its column.
  function label(table) {
    const heads = [...(table.tHead?.rows[0]?.cells || [])].map((cell) => cell.textContent.trim());
    const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };
    for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, td, th")]) {
      part.setAttribute("role", roles[part.tagName] || (part.closest("thead") ? "columnheader" : "rowheader"));
    }
    for (const row of [...table.tBodies].flatMap((body) => [...body.rows])) {
      for (const cell of row.cells) {
        cell.dataset.label = heads[cell.cellIndex] || "";
        cell.classList.toggle("long", /.{17}|\S{11}/s.test(cell.textContent.trim()) || cell.querySelector("img") !== null);
      }
    }
  }

  function fitTable(place) {
    const table = place.querySelector("table");
    table.classList.remove("compact", "cards");
    if (overflows(place)) table.classList.add("compact");
    if (overflows(place)) {
      if (!table.hasAttribute("role")) label(table);
      table.classList.replace("compact", "cards");
    }
  }

  // A formula in a sentence does not break: one that is longer than the line scrolls.
  function fitFormula(place) {
    const block = place.closest("p, li, td, th, dd, dt, div"), { paddingLeft, paddingRight } = getComputedStyle(block);
    const room = block.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const formula = place.querySelector("mjx-container");
    place.classList.toggle("long", Boolean(formula) && formula.getBoundingClientRect().width > room + 1);
  }

  function reach(element) {
    const scrolls = /auto|scroll/.test(getComputedStyle(element).overflowX) && overflows(element);
    if (scrolls === element.hasAttribute("data-scrolls")) return;
    if (scrolls) {
      element.dataset.scrolls = "";
      element.tabIndex = 0;
      if (element.tagName !== "FIGURE") element.setAttribute("role", "group");
      element.setAttribute("aria-label", title(element));
    } else {
      ["data-scrolls", "tabindex", "role", "aria-label"].forEach((name) => element.removeAttribute(name));
    }
  }

  function fit() {
    const article = document.querySelector(".bd-article");
    const formulas = article.querySelectorAll("span.math");
    formulas.forEach((one) => one.classList.remove("long"));
    article.querySelectorAll(TABLES).forEach(fitTable);
    formulas.forEach(fitFormula);
    article.querySelectorAll(SCROLLING).forEach(reach);
  }

  let asked = 0;
  function soon() {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(fit);
  }

  addEventListener("DOMContentLoaded", () => {
    const article = document.querySelector(".bd-article");
    if (!article) return;
    fit();
    // Fonts, pictures and formulas come later; folded parts open; windows and letters change their size.
    const sizes = new ResizeObserver(soon);
    const watch = () => [article, ...article.querySelectorAll(SCROLLING + ", table")].forEach((one) => sizes.observe(one));
    new MutationObserver(() => { watch(); soon(); }).observe(article, { childList: true, subtree: true });
    watch();
  });
})();
