// View of fer_lib.live: the picture and the feature map answer to clicks, fingers and arrow keys.
function render({ model, el }) {
  const make = (name, parent, className) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    parent.append(made);
    return made;
  };
  const root = make("div", el, "fer-live");
  const style = make("style", root);
  style.textContent = `
    .fer-live-panels { display: flex; flex-wrap: wrap; gap: .9rem; }
    .fer-live figure { margin: 0; flex: 1 1 150px; max-width: 220px; }
    .fer-live canvas { width: 100%; height: auto; aspect-ratio: 1; display: block; image-rendering: pixelated; }
    .fer-live canvas[tabindex] { cursor: crosshair; touch-action: manipulation; }
    .fer-live figcaption { font-size: .85rem; text-align: left; }
    .fer-live p { font-weight: 600; margin: .5rem 0; min-height: 1.4em; }`;
  const line = make("p", root);
  line.setAttribute("role", "status");
  const panels = make("div", root, "fer-live-panels");
  const panel = (caption) => {
    const figure = make("figure", panels);
    const canvas = make("canvas", figure);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", caption);
    make("figcaption", figure).textContent = caption;
    return canvas;
  };
  const face = panel("Picture; the square is what the unit sees. Click to choose the unit there.");
  const plane = panel("Feature map; the frame marks the unit. Click, or move it with the arrow keys.");
  const square = panel("Block a: the pixels that the unit sees");
  const projection = panel("Block b: their projection; mid-grey is zero");

  const bytes = (name) => {
    const view = model.get(name);
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  };
  function paint(canvas, name, height, width, zoom, colour) {
    const values = bytes(name);
    if (!height || values.length !== height * width) return null;
    const small = new OffscreenCanvas(width, height);
    const pixels = new ImageData(width, height);
    for (let i = 0; i < values.length; i++) pixels.data.set(colour(values[i]), 4 * i);
    small.getContext("2d").putImageData(pixels, 0, 0);
    canvas.width = width * zoom;
    canvas.height = height * zoom;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
    return pen;
  }
  const grey = (v) => [v, v, v, 255];
  // Black, purple, orange, pale yellow: brightness grows with the value, so that it reads without colour too.
  const stops = [[0, 0, 4], [120, 28, 109], [237, 105, 37], [252, 255, 164]];
  const heat = (v) => {
    const at = (v / 255) * 3, i = Math.min(2, Math.floor(at)), t = at - i;
    return [...stops[i].map((c, k) => c + (stops[i + 1][k] - c) * t), 255];
  };
  function outline(pen, x, y, width, height, thick) {
    for (const [colour, extra] of [["#000", 2], ["#fff", 0]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick + extra;
      pen.strokeRect(x, y, width, height);
    }
  }
  function draw() {
    const side = model.get("side"), [rows, columns] = model.get("extent"), field = model.get("field");
    const [row, column] = model.get("unit"), [left, top, right, bottom] = model.get("box");
    let pen = paint(face, "face", side, side, 4, grey);
    if (pen) outline(pen, left * 4, top * 4, (right - left) * 4, (bottom - top) * 4, 3);
    const zoom = Math.max(4, Math.round(384 / (columns || 1)));
    pen = paint(plane, "plane", rows, columns, zoom, heat);
    if (pen) outline(pen, column * zoom, row * zoom, zoom, zoom, 2);
    const large = Math.max(1, Math.round(384 / (field || 1)));
    paint(square, "square", field, field, large, grey);
    paint(projection, "projection", field, field, large, grey);
    line.textContent = model.get("text");
  }
  function choose(row, column) {
    const [rows, columns] = model.get("extent");
    const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));
    model.set("wanted", [clamp(row, rows), clamp(column, columns)]);
    model.save_changes();
  }
  const place = (event, canvas) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  };
  plane.tabIndex = 0;
  face.tabIndex = 0;
  plane.onclick = (event) => {
    const [rows, columns] = model.get("extent"), [y, x] = place(event, plane);
    choose(Math.floor(y * rows), Math.floor(x * columns));
  };
  face.onclick = (event) => {
    const side = model.get("side"), [y, x] = place(event, face);
    const { stride, offset } = model.get("geometry"), middle = offset + model.get("field") / 2;
    choose(Math.round((y * side - middle) / stride), Math.round((x * side - middle) / stride));
  };
  root.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move || event.target.tagName !== "CANVAS") return;
    event.preventDefault();
    event.stopPropagation();
    const [row, column] = model.get("unit");
    choose(row + move[0], column + move[1]);
  });
  model.on("change:version", draw);
  draw();
  return () => model.off("change:version", draw);
}
export default { render };
