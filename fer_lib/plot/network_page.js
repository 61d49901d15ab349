(function () {
  "use strict";
  const root = document.querySelector(".fer-network:not([data-ready])");
  if (!root) return;
  root.dataset.ready = "true";
  const part = {};
  for (const element of root.querySelectorAll("[data-part]")) part[element.dataset.part] = element;
  const data = JSON.parse(part.data.textContent), { geometry } = data;
  const names = geometry.blocks.map((block) => block.name);
  // The stored pictures and distances are those of the explorer on this page, if there is one; it may come later.
  let stored = { layers: [], names: {} };
  const storedOf = (i) => stored.layers.find((view) => view.name === names[i]);

  // What a unit of each layer sees: it begins at offset + stride * its place and is `size` wide.
  const fields = [];
  geometry.blocks.reduce((before, block) => {
    const field = { stride: before.stride, offset: before.offset - block.padding * before.stride,
      size: before.size + (block.kernel - 1) * before.stride };
    const side = before.side + 2 * block.padding - block.kernel + 1;
    fields.push({ ...field, side, maps: block.maps });
    return { stride: field.stride * block.pool, offset: field.offset,
      size: field.size + (block.pool - 1) * field.stride, side: Math.floor(side / block.pool) };
  }, { stride: 1, offset: 0, size: 1, side: geometry.side });

  const state = { layer: names.length - 1, map: null, unit: [0, 0], pinned: false, order: [], face: null, crop: null,
    photo: null, frame: null, camera: null, scored: false, columns: 16, hover: -1 };
  const plane = (layer, map) => {
    const area = fields[layer].side ** 2;
    return state.face.maps[layer].subarray(map * area, (map + 1) * area);
  };

  // ---------------------------------------------------------------------------------------------- the network

  // Bytes that the page holds, or that lie in a script beside it: no browser refuses that on a page opened from a folder.
  const loaded = new Map();
  function bytes(address) {
    if (!loaded.has(address)) {
      loaded.set(address, (address.startsWith("data:")
        ? Promise.resolve(address.slice(address.indexOf(",") + 1))
        : new Promise((resolve, reject) => {
          const script = document.createElement("script");
          script.onload = () => {
            const name = decodeURIComponent(address.split("/").pop());
            const text = (window.ferBytes || {})[name];
            if (text === undefined) return reject(new Error(name + " holds something else"));
            delete window.ferBytes[name];
            return resolve(text);
          };
          script.onerror = () => reject(new Error(address.split("/").pop() + " does not lie beside this page"));
          script.src = address;
          document.head.append(script);
          script.remove();
        })).then((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
    }
    return loaded.get(address);
  }

  let answers = null, asked = 0;
  const waiting = new Map(), notes = [];
  function computer() {
    if (answers) return answers;
    const source = part.core.textContent;
    const receive = ({ id, ...answer }) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (answer.error) reject(new Error(answer.error));
      else resolve(answer);
    };
    const here = () => {
      notes.push("This browser lets the page compute in itself only, so that it may stand still for a moment.");
      const script = document.createElement("script");
      script.textContent = source;
      root.append(script);
      script.remove();
      const answer = window.FerNetwork.answerer();
      return (message) => setTimeout(() => receive(answer(message)), 0);
    };
    try {
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
      worker.onmessage = (event) => receive(event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        for (const [id] of waiting) receive({ id, error: event.message || "the worker stopped" });
      };
      answers = (message) => worker.postMessage(message);
    } catch {
      answers = here();
    }
    return answers;
  }
  function ask(task, what) {
    return new Promise((resolve, reject) => {
      asked += 1;
      waiting.set(asked, { resolve, reject });
      computer()({ id: asked, task, ...what });
    });
  }

  let ready = null;
  function start() {
    ready = ready || (async () => {
      say("Loading the network …");
      const { fast } = await ask("load", { geometry, weights: await bytes(data.files.convolutions) });
      if (!fast) notes.push("This browser has no vector instructions for pages, so that a face takes a few seconds.");
      root.dataset.fast = String(fast);
    })();
    ready.catch((error) => {
      ready = null;
      say("The network cannot run here: " + error.message + "." + (stored.layers.length ? " Its stored pictures are on this page." : ""));
    });
    return ready;
  }
  const say = (text) => { if (part.status.textContent !== text) part.status.textContent = text; };

  // ---------------------------------------------------------------------------------------------- faces

  // Grey as Pillow makes it.
  function greys(pixels) {
    const out = new Float32Array(pixels.length / 4);
    for (let i = 0; i < out.length; i += 1) {
      out[i] = (pixels[4 * i] * 19595 + pixels[4 * i + 1] * 38470 + pixels[4 * i + 2] * 7471 + 0x8000) >> 16;
    }
    return out;
  }

  let running = false, next = null;
  // One face after the other; of those that come meanwhile only the last.
  async function show(crop) {
    next = crop;
    if (running) return;
    running = true;
    try {
      await start();
      while (next) {
        const now = next;
        next = null;
        if (!state.face) say("Computing …");
        const face = await ask("face", { pixels: now.pixels, width: now.width, height: now.height });
        state.face = face;
        state.crop = now;
        const many = geometry.blocks.reduce((sum, block) => sum + block.maps, 0);
        say([now.name.charAt(0).toUpperCase() + now.name.slice(1) + ": " + many + " maps in " + Math.max(1, Math.round(face.took)) + " ms, computed in this page.", ...notes]
          .join(" "));
        part.work.hidden = false;
        part.wake.hidden = true;
        refresh();
        if (state.scored) await score();
      }
    } catch { /* said by start */ } finally { running = false; }
  }

  function refresh() {
    if (state.map === null) state.map = loudest(state.layer);
    if (!state.pinned) state.unit = peak(state.layer, state.map);
    if (!state.camera || !state.order.length) sort();
    drawSteps();
    draw();
  }

  const largest = (values) => values.reduce((best, value) => Math.max(best, value), 0);
  function loudest(layer) {
    let best = 0, top = -1;
    for (let map = 0; map < fields[layer].maps; map += 1) {
      const value = largest(plane(layer, map));
      if (value > top) { top = value; best = map; }
    }
    return best;
  }
  function peak(layer, map) {
    const values = plane(layer, map), { side } = fields[layer];
    let best = 0;
    values.forEach((value, i) => { if (value > values[best]) best = i; });
    return [Math.floor(best / side), best % side];
  }

  function press(button) {
    for (const other of part.faces.children) other.setAttribute("aria-pressed", String(other === button));
  }
  data.faces.forEach((face, i) => {
    const button = document.createElement("button"), image = new Image();
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    image.alt = "Face " + (i + 1) + " of the study: " + face.name;
    image.src = face.picture;
    button.append(image);
    button.addEventListener("click", async () => {
      stopCamera();
      part.stage.hidden = true;
      press(button);
      try {
        const all = await bytes(data.files.faces);
        show({ name: face.name, pixels: Float32Array.from(all.subarray(face.at, face.at + face.width * face.height)),
          width: face.width, height: face.height });
      } catch (error) {
        say("This face cannot be shown: " + error.message + ".");
      }
    });
    part.faces.append(button);
  });
  part.faces.hidden = !data.faces.length;

  // A picture of the reader's own: drawn at most this large, the frame is in its pixels.
  const LARGEST = 1600;
  function canvasOf(source, width, height) {
    const scale = Math.min(1, LARGEST / Math.max(width, height)), canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(source, 0, 0, canvas.width, canvas.height);
    return canvas;
  }
  async function open(file, name) {
    if (!file) return;
    stopCamera();
    try {
      const image = await createImageBitmap(file);
      press(null);
      state.photo = canvasOf(image, image.width, image.height);
      state.name = name || "your picture";
      state.frame = firstFrame();
      part.stage.hidden = false;
      start().catch(() => {});
      reframe();
      part.photo.focus({ preventScroll: true });
      part.wake.hidden = true;
    } catch {
      say((file.name || "This") + " is no picture that your browser can read.");
    }
  }
  function firstFrame() {
    const { width, height } = state.photo, wide = Math.min(width, height * 0.75) * 0.6;
    const high = Math.min(height, wide * 1.05), left = (width - wide) / 2, top = (height - high) / 2;
    return [left, top, left + wide - 1, top + high - 1].map(Math.round);
  }
  function cut() {
    const [left, top, right, bottom] = state.frame, width = right - left + 1, height = bottom - top + 1;
    const pixels = state.photo.getContext("2d").getImageData(left, top, width, height);
    return { name: state.name, pixels: greys(pixels.data), width, height };
  }
  function reframe() {
    drawPhoto();
    part.photo.dataset.frame = state.frame.join(" ");
    show(cut());
  }
  function drawPhoto() {
    const { photo, frame } = state, canvas = part.photo, pen = canvas.getContext("2d");
    const zoom = Math.max(1, 960 / photo.width);
    canvas.width = Math.round(photo.width * zoom);
    canvas.height = Math.round(photo.height * zoom);
    pen.scale(zoom, zoom);
    pen.drawImage(photo, 0, 0);
    const [left, top, right, bottom] = frame, wide = right - left + 1, high = bottom - top + 1;
    const unit = photo.width / (canvas.clientWidth || 480);
    pen.fillStyle = "rgba(8, 12, 20, .55)";
    pen.beginPath();
    pen.rect(0, 0, photo.width, photo.height);
    pen.rect(left, top, wide, high);
    pen.fill("evenodd");
    pen.lineWidth = 2 * unit;
    pen.strokeStyle = "#ffb454";
    pen.strokeRect(left, top, wide, high);
    pen.font = 600 + " " + 12 * unit + "px sans-serif";
    pen.textAlign = "center";
    for (const [text, x, y, angle] of [["brows", left + wide / 2, top, 0], ["chin", left + wide / 2, bottom, 0],
      ["cheek", left, top + high / 2, -Math.PI / 2], ["cheek", right, top + high / 2, Math.PI / 2]]) {
      pen.save();
      pen.translate(x, y);
      pen.rotate(angle);
      const half = pen.measureText(text).width / 2 + 5 * unit;
      pen.fillStyle = "#ffb454";
      pen.fillRect(-half, -9 * unit, 2 * half, 18 * unit);
      pen.fillStyle = "#1d1405";
      pen.fillText(text, 0, 4 * unit);
      pen.restore();
    }
  }
  // `move`: left, top, right, bottom change by so much; the frame keeps a face's least size and stays in the picture.
  function moveFrame(move) {
    const { width, height } = state.photo, least = Math.min(24, width, height), f = state.frame;
    const whole = move[0] === move[2] && move[1] === move[3];
    if (whole) {
      const dx = Math.min(Math.max(move[0], -f[0]), width - 1 - f[2]), dy = Math.min(Math.max(move[1], -f[1]), height - 1 - f[3]);
      state.frame = [f[0] + dx, f[1] + dy, f[2] + dx, f[3] + dy];
    } else {
      const left = Math.min(Math.max(f[0] + move[0], 0), f[2] - least + 1), top = Math.min(Math.max(f[1] + move[1], 0), f[3] - least + 1);
      state.frame = [left, top, Math.max(Math.min(f[2] + move[2], width - 1), left + least - 1),
        Math.max(Math.min(f[3] + move[3], height - 1), top + least - 1)];
    }
    reframe();
  }
  function dragFrame() {
    let held = null;
    const at = (event) => {
      const box = part.photo.getBoundingClientRect(), scale = state.photo.width / box.width;
      return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale, scale };
    };
    part.photo.addEventListener("pointerdown", (event) => {
      if (!state.photo) return;
      const { x, y, scale } = at(event), [left, top, right, bottom] = state.frame;
      const reach = (event.pointerType === "touch" ? 26 : 14) * scale, near = (a, b) => Math.abs(a - b) < reach;
      const edges = [near(x, left), near(y, top), near(x, right) && !near(x, left), near(y, bottom) && !near(y, top)];
      const within = x > left - reach && x < right + reach && y > top - reach && y < bottom + reach;
      held = { x: Math.round(x), y: Math.round(y), edges: within && edges.some(Boolean) ? edges : [true, true, true, true] };
      part.photo.setPointerCapture(event.pointerId);
    });
    part.photo.addEventListener("pointermove", (event) => {
      if (!held) return;
      const { x, y } = at(event), dx = Math.round(x) - held.x, dy = Math.round(y) - held.y;
      if (!dx && !dy) return;
      held.x += dx;
      held.y += dy;
      moveFrame([dx, dy, dx, dy].map((step, i) => (held.edges[i] ? step : 0)));
    });
    for (const end of ["pointerup", "pointercancel"]) part.photo.addEventListener(end, () => { held = null; });
    part.photo.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way || !state.photo) return;
      event.preventDefault();
      event.stopPropagation();
      const [x, y] = way.map((one) => one * Math.max(1, Math.round(state.photo.width / 160)));
      moveFrame(event.shiftKey ? [-x, -y, x, y] : [x, y, x, y]);
    });
  }
  dragFrame();

  part.pick.addEventListener("click", () => part.file.click());
  part.file.addEventListener("change", () => { open(part.file.files[0]); part.file.value = ""; });
  const body = root.querySelector(".fer-body");
  const holdsFile = (event) => [...(event.dataTransfer ? event.dataTransfer.types : [])].includes("Files");
  for (const kind of ["dragenter", "dragover"]) {
    body.addEventListener(kind, (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      body.classList.add("fer-over");
    });
  }
  body.addEventListener("dragleave", (event) => { if (!body.contains(event.relatedTarget)) body.classList.remove("fer-over"); });
  body.addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    body.classList.remove("fer-over");
    open(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", function paste(event) {
    if (!root.isConnected) return document.removeEventListener("paste", paste);
    const file = [...(event.clipboardData ? event.clipboardData.files : [])].find((one) => one.type.startsWith("image/"));
    if (file) open(file);
    return undefined;
  });

  part.camera.hidden = !(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
  part.camera.addEventListener("click", async () => {
    stopCamera();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: 640, height: 480 } });
      const video = document.createElement("video");
      video.muted = video.playsInline = true;
      video.srcObject = stream;
      await video.play();
      state.camera = { stream, video };
      press(null);
      state.name = "your camera";
      state.frame = null;
      part.stage.hidden = part.hold.hidden = part.stop.hidden = false;
      await start();
      look();
    } catch (error) {
      stopCamera();
      say("The camera cannot be used here: " + error.message + ".");
    }
  });
  // The next picture is taken when the last one's maps are there.
  async function look() {
    while (state.camera) {
      const { video } = state.camera;
      const photo = canvasOf(video, video.videoWidth, video.videoHeight);
      const same = state.photo && state.photo.width === photo.width && state.photo.height === photo.height;
      state.photo = photo;
      if (!state.frame || !same) state.frame = firstFrame();
      drawPhoto();
      show(cut());
      await new Promise((done) => { setTimeout(done, 40); });
      while (running && state.camera) await new Promise((done) => { setTimeout(done, 10); });
    }
  }
  function stopCamera() {
    if (state.camera) state.camera.stream.getTracks().forEach((track) => track.stop());
    state.camera = null;
    part.hold.hidden = part.stop.hidden = true;
  }
  part.hold.addEventListener("click", () => { stopCamera(); part.photo.focus(); });
  part.stop.addEventListener("click", () => {
    stopCamera();
    state.photo = null;
    part.stage.hidden = true;
    part.camera.focus();
  });

  // ---------------------------------------------------------------------------------------------- pictures

  // From night to light: dark where nothing answers, in both themes.
  const COLOURS = [[16, 20, 29], [38, 61, 112], [79, 125, 176], [196, 208, 178], [255, 240, 190]];
  const palette = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i += 1) {
    const at = (i / 255) * (COLOURS.length - 1), low = Math.min(Math.floor(at), COLOURS.length - 2);
    for (let c = 0; c < 3; c += 1) palette[3 * i + c] = COLOURS[low][c] + (at - low) * (COLOURS[low + 1][c] - COLOURS[low][c]);
  }
  // A map, brighter where it answers more; `top` is the brightest.
  function heat(values, side, top) {
    const made = new ImageData(side, side), scale = top > 0 ? 1 / top : 0;
    for (let i = 0, to = 0; i < values.length; i += 1, to += 4) {
      const from = 3 * Math.round(255 * Math.sqrt(values[i] * scale));
      made.data[to] = palette[from];
      made.data[to + 1] = palette[from + 1];
      made.data[to + 2] = palette[from + 2];
      made.data[to + 3] = 255;
    }
    return canvasWith(made);
  }
  function canvasWith(made) {
    const canvas = document.createElement("canvas");
    canvas.width = made.width;
    canvas.height = made.height;
    canvas.getContext("2d").putImageData(made, 0, 0);
    return canvas;
  }
  function image(values, width, height, shade) {
    const made = new ImageData(width, height);
    values.forEach((value, i) => {
      const [r, g, b] = shade(value);
      made.data.set([r, g, b, 255], 4 * i);
    });
    return canvasWith(made);
  }
  const grey = (low, high) => (value) => {
    const level = high > low ? (255 * (value - low)) / (high - low) : 128;
    return [level, level, level];
  };
  const stretched = (values) => grey(values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity));
  function paint(canvas, picture, smooth) {
    const zoom = Math.max(1, Math.round(240 / picture.width));
    canvas.width = picture.width * zoom;
    canvas.height = picture.height * zoom;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = Boolean(smooth);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return { pen, zoom };
  }

  function drawSteps() {
    const { crop, face } = state, { side, resize } = geometry, plain = grey(0, 255);
    crop.picture = crop.picture || image(crop.pixels, crop.width, crop.height, plain);
    paint(part["step-crop"], crop.picture, true);
    paint(part["step-whole"], image(face.whole, resize, resize, plain));
    paint(part["step-input"], image(face.input, side, side, stretched(face.input)));
    part["step-whole-caption"].textContent = "Resized to " + resize + " × " + resize + " pixels.";
    part["step-input-caption"].textContent = "The middle " + side + " × " + side + ", with mean 0 and deviation 1.";
  }

  function drawFace() {
    const { crop } = state, { side, resize } = geometry, canvas = part.face, pen = canvas.getContext("2d"), wide = 600;
    canvas.width = canvas.height = wide;
    // The part of the face that the network's input is, in the face's own pixels.
    const margin = Math.floor((resize - side) / 2), sx = crop.width / resize, sy = crop.height / resize;
    pen.drawImage(crop.picture, margin * sx, margin * sy, side * sx, side * sy, 0, 0, wide, wide);
    const field = fields[state.layer], [row, column] = state.unit, zoom = wide / side;
    const left = (field.offset + column * field.stride) * zoom, top = (field.offset + row * field.stride) * zoom, size = field.size * zoom;
    pen.fillStyle = "rgba(8, 12, 20, .38)";
    pen.beginPath();
    pen.rect(0, 0, wide, wide);
    pen.rect(left, top, size, size);
    pen.fill("evenodd");
    pen.lineWidth = 4;
    pen.strokeStyle = "#ffb454";
    pen.strokeRect(left, top, size, size);
  }

  function drawPlane() {
    const { side } = fields[state.layer], values = plane(state.layer, state.map), [row, column] = state.unit;
    const { pen, zoom } = paint(part.plane, heat(values, side, largest(values)));
    pen.lineWidth = Math.max(2, zoom / 5);
    pen.strokeStyle = "#ff8c1a";
    pen.strokeRect(column * zoom, row * zoom, zoom, zoom);
  }

  function drawGrid() {
    const { side, maps } = fields[state.layer], room = part.room.clientWidth || 480;
    const columns = Math.min(maps, room < 380 ? (maps > 128 ? 12 : 8) : maps > 64 ? 16 : 8), gap = 2;
    const sharp = Math.min(2, window.devicePixelRatio || 1), tile = Math.floor((room * sharp) / columns) - gap;
    state.columns = columns;
    const canvas = part.grid, pen = canvas.getContext("2d"), pitch = tile + gap;
    canvas.width = columns * pitch + gap;
    canvas.height = Math.ceil(maps / columns) * pitch + gap;
    pen.fillStyle = "#2a3140";
    pen.imageSmoothingEnabled = tile < side;
    const top = largest(state.face.maps[state.layer]);
    state.order.forEach((map, i) => {
      const x = gap + (i % columns) * pitch, y = gap + Math.floor(i / columns) * pitch;
      pen.fillRect(x - gap, y - gap, tile + 2 * gap, tile + 2 * gap);
      pen.drawImage(heat(plane(state.layer, map), side, top), x, y, tile, tile);
    });
    const i = state.order.indexOf(state.map), x = gap + (i % columns) * pitch, y = gap + Math.floor(i / columns) * pitch;
    pen.lineWidth = 2 * gap * sharp;
    pen.strokeStyle = "#ffb454";
    pen.strokeRect(x - gap / 2, y - gap / 2, tile + gap, tile + gap);
  }

  const auName = (au) => "AU " + au + (stored.names[au] ? " (" + stored.names[au] + ")" : "");
  const pictures = new Map();
  function picture(address) {
    if (!pictures.has(address)) {
      const made = new Image();
      made.onload = drawStored;
      made.src = address;
      pictures.set(address, made);
    }
    const made = pictures.get(address);
    return made.complete && made.naturalWidth ? made : null;
  }
  function drawStored() {
    const view = storedOf(state.layer), { map } = state;
    part.stored.hidden = !view || map === null;
    if (!view || map === null) return;
    for (const name of ["originals", "projections"]) {
      const canvas = part[name], sheet = view[name], shown = sheet && !view.dead[map];
      canvas.parentElement.hidden = !shown;
      if (!shown) continue;
      canvas.setAttribute("aria-label", (name === "originals" ? "Pictures that excite map " : "What the projections show for map ") + map +
        " most");
      const { tile, across, down, columns } = sheet, place = map % sheet.maps, made = picture(sheet.uris[Math.floor(map / sheet.maps)]);
      canvas.width = across * tile * Math.max(1, Math.round(240 / (across * tile)));
      canvas.height = (canvas.width * down) / across;
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = false;
      if (made) {
        pen.drawImage(made, (place % columns) * across * tile, Math.floor(place / columns) * down * tile, across * tile, down * tile,
          0, 0, canvas.width, canvas.height);
      }
    }
    const values = (view.distances || []).map((row, j) => ({ au: view.aus[j], value: row[map] }))
      .filter(({ value }) => value !== null && value !== undefined).sort((a, b) => b.value - a.value).slice(0, 5);
    part.distances.hidden = !values.length;
    part.distances.querySelector("p").textContent = "Action units with the largest distance D on this map";
    list(part.distances.querySelector("ul"), values.map(({ au, value }) => [auName(au), value / view.largest, value.toFixed(3)]));
  }
  function list(element, rows) {
    element.replaceChildren(...rows.map(([name, share, text], i) => {
      const row = document.createElement("li"), cells = [0, 1, 2].map(() => document.createElement("span")), bar = document.createElement("i");
      row.classList.toggle("fer-first", i === 0);
      cells[0].textContent = name;
      bar.style.width = Math.max(0, Math.min(100, 100 * share)) + "%";
      cells[1].append(bar);
      cells[2].textContent = text;
      row.append(...cells);
      return row;
    }));
  }

  // ---------------------------------------------------------------------------------------------- choices

  function sort() {
    const { layer } = state, maps = Array.from({ length: fields[layer].maps }, (_, map) => map), by = part.order.value;
    const view = storedOf(layer), j = view && by.startsWith("au") ? view.aus.indexOf(Number(by.slice(2))) : -1;
    const value = by.startsWith("part") && state.parts ? (map) => state.parts[map] : by === "response" ? (map) => largest(plane(layer, map))
      : j >= 0 ? (map) => (view.dead[map] ? -Infinity : view.distances[j][map] ?? -Infinity) : (map) => -map;
    const values = maps.map(value);
    state.order = maps.sort((a, b) => (values[a] === values[b] ? a - b : values[b] - values[a]));
  }

  function orders() {
    const view = storedOf(state.layer), before = part.order.value;
    for (const option of [...part.order.options].slice(2)) option.remove();
    if (view && view.distances) for (const au of view.aus) part.order.append(new Option("D of " + auName(au), "au" + au));
    if (state.scored && state.layer === names.length - 1) {
      data.expressions.forEach((name, i) => part.order.append(new Option("part in the score of " + name, "part" + i)));
    }
    part.order.value = before;
    if (part.order.selectedIndex < 0) part.order.value = "number";
  }

  let projecting = false, again = false;
  async function project() {
    again = true;
    if (projecting) return;
    projecting = true;
    while (again) {
      again = false;
      const { layer, map, unit: [row, column] } = state, rule = part.rule.value, { input } = state.face;
      const done = await ask("project", { layer, map, row, column, rule });
      if (again) continue;
      const { size, patch, left, top, value } = done, { side } = geometry;
      // Black beyond the picture's edge, as in the book's figures.
      const square = Float32Array.from(patch, (_, i) => {
        const x = left + (i % size), y = top + Math.floor(i / size);
        return x >= 0 && y >= 0 && x < side && y < side ? input[y * side + x] : NaN;
      });
      const known = square.filter((one) => !Number.isNaN(one)), shade = stretched(known);
      paint(part.square, image(square, size, size, (one) => (Number.isNaN(one) ? [0, 0, 0] : shade(one))));
      const most = patch.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      paint(part.projection, image(patch, size, size, (one) => { const level = 128 + (most > 0 ? (127 * one) / most : 0); return [level, level, level]; }));
      const text = names[layer] + ", map " + map + ", row " + row + ", column " + column + ": " + (value > 0 ? "activation " + value.toFixed(3) : "silent here") + ".";
      part.line.textContent = text;
      part.square.setAttribute("aria-label", "The " + size + " by " + size + " pixels that the unit sees");
      part.projection.setAttribute("aria-label", "Projection by the rule " + rule + "; mid-grey is zero");
      root.dataset.projected = [names[layer], map, row, column, rule].join(" ");
      part.how.textContent = "The projection took " + done.took.toFixed(1) + " ms.";
    }
    projecting = false;
  }

  function draw() {
    if (!state.face) return;
    [...part.layers.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === state.layer)));
    if (document.activeElement !== part.number) part.number.value = String(state.map);
    part.number.max = String(fields[state.layer].maps - 1);
    const address = "#" + names[state.layer] + "/" + state.map;
    part.address.textContent = address;
    part.address.href = address;
    part.face.setAttribute("aria-label", "The face; the square is what the unit sees. Arrow keys move the unit");
    part.plane.setAttribute("aria-label", "Map " + state.map + " of " + names[state.layer] + "; arrow keys move the unit");
    part.grid.setAttribute("aria-label", "All maps of " + names[state.layer] + " by " + part.order.selectedOptions[0].text + ", from map " +
      state.order[0] + "; map " + state.map + " is chosen, arrow keys choose another");
    drawGrid();
    drawFace();
    drawPlane();
    drawStored();
    project();
  }

  // In a notebook the address belongs to others.
  const addressed = !document.body.dataset.jpThemeName;
  function choose(layer, map, how) {
    const other = layer !== state.layer;
    state.layer = layer;
    if (other) orders();
    state.pinned = false;
    state.map = map;
    if (how && addressed) history[how](null, "", "#" + names[layer] + "/" + map);
    if (!state.face) return;
    if (state.map === null) state.map = loudest(layer);
    state.unit = peak(layer, state.map);
    if (other) sort();
    draw();
  }
  function follow() {
    const [, name, map] = /^#(\w+)\/(\d+)$/.exec(decodeURIComponent(location.hash)) || [], layer = names.indexOf(name);
    if (!addressed || layer < 0 || Number(map) >= fields[layer].maps) return false;
    if (layer !== state.layer || Number(map) !== state.map) choose(layer, Number(map), null);
    return true;
  }
  window.addEventListener("popstate", follow);
  window.addEventListener("hashchange", follow);

  names.forEach((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(i === state.layer));
    button.addEventListener("click", () => choose(i, loudest(i), "pushState"));
    part.layers.append(button);
  });
  part.order.addEventListener("change", () => {
    if (part.order.value.startsWith("part")) { sortByPart(); return; }
    sort();
    draw();
  });
  part.rule.addEventListener("change", project);
  part.peak.addEventListener("click", () => { state.pinned = false; state.unit = peak(state.layer, state.map); draw(); });
  part.number.addEventListener("change", () => {
    const map = Number(part.number.value);
    if (part.number.value !== "" && Number.isInteger(map) && map >= 0 && map < fields[state.layer].maps) choose(state.layer, map, "pushState");
    else part.number.value = String(state.map);
  });
  part.address.addEventListener("click", (event) => {
    event.preventDefault();
    if (addressed) history.replaceState(null, "", part.address.getAttribute("href"));
  });

  function mapAt(event) {
    const box = part.grid.getBoundingClientRect(), rows = Math.ceil(state.order.length / state.columns);
    const x = Math.floor(((event.clientX - box.left) / box.width) * state.columns), y = Math.floor(((event.clientY - box.top) / box.height) * rows);
    return state.order[Math.min(Math.max(y, 0), rows - 1) * state.columns + Math.min(Math.max(x, 0), state.columns - 1)];
  }
  const resting = part.under.textContent;
  part.grid.addEventListener("click", (event) => { const map = mapAt(event); if (map !== undefined) choose(state.layer, map, "pushState"); });
  part.grid.addEventListener("pointermove", (event) => {
    const map = mapAt(event);
    const added = part.order.value.startsWith("part") && state.parts && map !== undefined ? ", adds " + state.parts[map].toFixed(2) + " to the score" : "";
    part.under.textContent = map === undefined ? resting : "Map " + map + ": at most " + largest(plane(state.layer, map)).toFixed(2) + " on this face" + added;
  });
  part.grid.addEventListener("pointerleave", () => { part.under.textContent = resting; });
  const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  part.grid.addEventListener("keydown", (event) => {
    const way = WAYS[event.key];
    if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const to = state.order.indexOf(state.map) + way[0] * state.columns + way[1];
    if (to < 0 || to >= state.order.length) return;
    choose(state.layer, state.order[to], "replaceState");
  });

  // A unit is chosen by a click, a drag or the arrow keys, on its map or on the face.
  function choosing(canvas, place) {
    const go = (row, column) => {
      const last = fields[state.layer].side - 1, unit = [row, column].map((one) => Math.min(Math.max(Math.round(one), 0), last));
      state.pinned = true;
      if (unit[0] === state.unit[0] && unit[1] === state.unit[1]) return;
      state.unit = unit;
      drawFace();
      drawPlane();
      project();
    };
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      go(...[(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width].map(place));
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); point(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
    canvas.addEventListener("keydown", (event) => {
      const way = WAYS[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      go(state.unit[0] + way[0], state.unit[1] + way[1]);
    });
  }
  choosing(part.plane, (share) => share * fields[state.layer].side - 0.5);
  choosing(part.face, (share) => {
    const { offset, stride, size } = fields[state.layer];
    return (share * geometry.side - offset - size / 2) / stride;
  });

  // ---------------------------------------------------------------------------------------------- class scores

  const megabytes = Math.round(data.linear / 1e6);
  part.ask.textContent = "What does the network say?";
  part["ask-hint"].textContent = megabytes > 1 ? "loads its hidden layer, " + megabytes + " MB" : "";
  part.ask.addEventListener("click", async () => {
    part.ask.disabled = true;
    try {
      part["ask-hint"].textContent = "Loading …";
      await ask("linear", { bytes: await bytes(data.files.linear) });
      loaded.delete(data.files.linear);
      state.scored = true;
      orders();
      part["ask-hint"].textContent = "";
      part.ask.parentElement.hidden = true;
      await score();
    } catch (error) {
      part.ask.disabled = false;
      part["ask-hint"].textContent = "The scores cannot be computed: " + error.message + ".";
    }
  });
  async function score() {
    const { scores } = await ask("scores", {}), most = Math.max(...scores);
    const powers = Array.from(scores, (one) => Math.exp(one - most)), total = powers.reduce((a, b) => a + b, 0);
    const rows = powers.map((power, i) => [data.expressions[i], power / total]).sort((a, b) => b[1] - a[1]);
    part.scores.hidden = false;
    list(part.scores, rows.map(([name, share]) => [name, share, (100 * share).toFixed(1) + " %"]));
    root.dataset.scored = Array.from(scores).join(" ");
    if (part.order.value.startsWith("part")) await sortByPart();
  }
  async function sortByPart() {
    state.parts = (await ask("parts", { expression: Number(part.order.value.slice(4)) })).parts;
    sort();
    draw();
  }

  new ResizeObserver(() => {
    if (state.face && part.room.clientWidth !== state.room) { state.room = part.room.clientWidth; drawGrid(); }
    if (state.photo && !part.stage.hidden) drawPhoto();
  }).observe(root);

  // What the maps of the first face look like, until the network is there.
  part.wake.hidden = !data.preview;
  if (data.preview) {
    part.preview.src = data.preview;
    part.preview.alt = "Maps of " + names[names.length - 1] + " on the first face";
    part.wake.addEventListener("click", () => part.faces.firstElementChild.click());
  }
  function begin() {
    const found = data.stored && document.getElementById(data.stored);
    if (found) stored = JSON.parse(found.querySelector('[data-part="data"]').textContent);
    // On a phone the face stays in sight, below what the book keeps on top.
    const header = document.querySelector(".bd-header-article");
    if (header) root.style.setProperty("--fer-top", header.offsetHeight + "px");
    orders();
    // An address with a map starts the network on the first face.
    if (follow() && data.faces.length) part.faces.firstElementChild.click();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
