(function () {
  "use strict";
  const root = document.querySelector(".fer-matrix:not([data-ready])");
  if (!root) return;
  root.dataset.ready = "true";
  const part = {};
  for (const one of root.querySelectorAll("[data-part]")) part[one.dataset.part] = one;
  const { views, units, maps, link } = JSON.parse(part.data.textContent);
  const canvas = part.cells, pen = canvas.getContext("2d");
  const HEIGHT = 16, POSITIVE = [193, 68, 14], NEGATIVE = [31, 111, 139];
  let view = 0, at = null;
  root.style.setProperty("--fer-units", units.length);

  // A cell is as dark as its value is large, so that an empty one has the page's own colour, light or dark.
  function draw() {
    const width = Math.max(1, canvas.clientWidth), scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(units.length * HEIGHT * scale);
    pen.setTransform(canvas.width / maps.length, 0, 0, HEIGHT * scale, 0, 0);
    const { values, middle, largest } = views[view];
    for (let row = 0; row < units.length; row++) {
      for (let column = 0; column < maps.length; column++) {
        const value = values[row][column];
        if (value === null) continue;
        const share = Math.max(-1, Math.min(1, (value - middle) / largest[row]));
        const colour = share < 0 ? NEGATIVE : POSITIVE;
        pen.fillStyle = "rgba(" + colour.join(",") + "," + Math.abs(share).toFixed(3) + ")";
        pen.fillRect(column, row + 0.06, 1, 0.88);
      }
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    if (at) {
      pen.strokeStyle = getComputedStyle(root).color;
      pen.lineWidth = 2;
      const cell = width / maps.length;
      pen.strokeRect(at.column * cell - 1, at.row * HEIGHT, cell + 2, HEIGHT);
    }
  }

  function say() {
    const { name, values } = views[view];
    if (!at) return;
    const value = values[at.row][at.column];
    part.line.textContent = units[at.row] + ", map " + maps[at.column] + ": " +
      (value === null ? "not known" : name + " " + value.toFixed(2)) + (link ? " (click or Enter opens the map)" : "");
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const limit = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
    return { row: limit((event.clientY - box.top) / box.height, units.length),
      column: limit((event.clientX - box.left) / box.width, maps.length) };
  }

  function move(to) { at = to; draw(); say(); }
  function open() { if (at && link) window.location.href = link.replace("{map}", maps[at.column]); }

  canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") move(place(event)); });
  canvas.addEventListener("click", (event) => {
    const to = place(event);
    // A finger first shows what it points at; the second tap on a cell opens it.
    const again = at && at.row === to.row && at.column === to.column;
    move(to);
    if (again) open();
  });
  canvas.addEventListener("focus", () => { if (!at) move({ row: 0, column: 0 }); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (step) {
      const from = at || { row: 0, column: 0 };
      move({ row: Math.max(0, Math.min(units.length - 1, from.row + step[0])),
        column: Math.max(0, Math.min(maps.length - 1, from.column + step[1])) });
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === "Enter") open();
  });
  for (const choice of root.querySelectorAll("input[type=radio]")) {
    choice.addEventListener("change", () => {
      view = Number(choice.value);
      part.scale.textContent = views[view].scale;
      draw();
      say();
    });
  }
  // Not before it is opened: a theme's scripts take addresses with "#" for places on this page, and fail at a "/" in them.
  root.querySelector("details").addEventListener("toggle", () => {
    for (const one of root.querySelectorAll("a[data-map]")) one.href = link.replace("{map}", one.dataset.map);
  }, { once: true });
  part.scale.textContent = views[view].scale;
  new ResizeObserver(draw).observe(canvas);
  draw();
})();
