(function () {
  "use strict";
  // The same cell may be shown twice: each run of the script takes the first root that none has taken yet.
  const root = document.querySelector(".fer-explorer:not([data-ready])");
  if (!root) return;
  root.dataset.ready = "true";
  const find = (name) => root.querySelector('[data-part="' + name + '"]');
  const data = JSON.parse(find("data").textContent);
  const part = {};
  for (const name of ["layer", "number", "position", "previous", "play", "next", "order", "au", "line", "live",
    "originals", "projections", "face", "hidden", "bars", "bar-list"]) part[name] = find(name);

  const pictures = new Map();
  const state = { layer: 0, order: [], position: 0, timer: 0, announce: 0 };
  const layer = () => data.layers[state.layer];
  const current = () => state.order[state.position];
  const known = (value) => value !== null && value !== undefined;
  const auName = (au) => "AU " + au + (data.names[au] ? " (" + data.names[au] + ")" : "");

  function picture(uri) {
    if (!pictures.has(uri)) {
      const image = new Image();
      image.onload = draw;
      image.src = uri;
      pictures.set(uri, image);
    }
    const image = pictures.get(uri);
    return image.complete && image.naturalWidth > 0 ? image : null;
  }

  // The unit whose distance is largest for a map: its position in the layer's list, -1 if none has a value.
  function strongest(map) {
    let best = -1;
    (layer().distances || []).forEach((row, j) => {
      if (known(row[map]) && (best < 0 || row[map] > layer().distances[best][map])) best = j;
    });
    return best;
  }

  // The position of the unit that the reader chose, -1 for none.
  const chosen = () => (part.au.value === "" ? -1 : layer().aus.indexOf(Number(part.au.value)));

  function score(map) {
    if (part.order.value === "strength") return layer().strength[map];
    const j = chosen() < 0 ? strongest(map) : chosen();
    return j < 0 ? null : layer().distances[j][map];
  }

  function sortMaps(keep) {
    const maps = layer().dead.map((_, index) => index);
    if (part.order.value !== "number") {
      const scores = maps.map((map) => {
        const value = layer().dead[map] ? null : score(map);
        return known(value) ? value : -Infinity;
      });
      maps.sort((a, b) => (scores[a] === scores[b] ? a - b : scores[b] - scores[a]));
    }
    state.order = maps;
    state.position = keep === null ? 0 : Math.max(0, maps.indexOf(keep));
    part.position.max = String(maps.length - 1);
    part.number.max = String(maps.length - 1);
  }

  function rank(j, map) {
    const row = layer().distances[j];
    return 1 + row.filter((value, other) => known(value) && !layer().dead[other] && value > row[map]).length;
  }

  function sentence(map) {
    const view = layer();
    if (view.dead[map]) return "map " + map + " of " + view.name + ": never active";
    const j = strongest(map);
    if (j < 0) return "map " + map + " of " + view.name + ": largest activation " + view.strength[map];
    const told = (k) => auName(view.aus[k]) + ", D = " + view.distances[k][map].toFixed(3) + "; rank " +
      rank(k, map) + " of " + view.dead.length + " maps for this unit";
    const k = chosen();
    if (k < 0) return "map " + map + ": strongest for " + told(j);
    const asked = known(view.distances[k][map]) ? told(k) : auName(view.aus[k]) + ", no value of D";
    return "map " + map + ": " + asked + (k === j ? "; strongest for this unit" : ". Strongest for " + told(j));
  }

  function message(canvas, text) {
    canvas.width = canvas.height = 240;
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, 240, 240);
    pen.fillStyle = "#000";
    pen.font = "bold 18px sans-serif";
    pen.textAlign = "center";
    pen.fillText(text, 120, 126);
  }

  const sheetOf = (sheet, map) => sheet.uris[Math.floor(map / sheet.maps)];

  function drawTiles(canvas, sheet, map) {
    if (layer().dead[map]) return message(canvas, "never active");
    const image = picture(sheetOf(sheet, map));
    // Never another map's pictures below this one's name.
    if (!image) return message(canvas, "");
    const { tile, across, columns, count } = sheet;
    const gap = 4, zoom = Math.max(1, Math.round(240 / (across * tile)));
    canvas.width = canvas.height = across * tile * zoom + (across - 1) * gap;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    const place = map % sheet.maps;
    const left = (place % columns) * across * tile, top = Math.floor(place / columns) * sheet.down * tile;
    for (let i = 0; i < count; i += 1) {
      const x = i % across, y = Math.floor(i / across);
      pen.drawImage(image, left + x * tile, top + y * tile, tile, tile,
        x * (tile * zoom + gap), y * (tile * zoom + gap), tile * zoom, tile * zoom);
    }
    return undefined;
  }

  function drawFace(map) {
    const image = picture(data.face.uri);
    if (!image) return;
    const canvas = part.face, zoom = 480 / data.face.side;
    canvas.width = canvas.height = 480;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = true;
    pen.drawImage(image, 0, 0, 480, 480);
    if (layer().dead[map]) return;
    for (const [x, y] of layer().centres[map]) {
      if (!known(x) || !known(y)) continue;
      pen.beginPath();
      pen.arc(x * zoom, y * zoom, 11, 0, 2 * Math.PI);
      pen.fillStyle = "rgba(255, 150, 20, .8)";
      pen.fill();
      pen.lineWidth = 4;
      pen.strokeStyle = "#000";
      pen.stroke();
    }
  }

  function drawBars(map) {
    const view = layer();
    part.bars.hidden = !view.distances;
    if (!view.distances) return;
    // Marked is the unit that the reader chose, or else the one that is largest on this map.
    const marked = chosen() >= 0 ? chosen() : view.dead[map] ? -1 : strongest(map);
    part["bar-list"].replaceChildren(...view.aus.map((au, j) => {
      const value = view.dead[map] ? null : view.distances[j][map];
      const row = document.createElement("li");
      row.title = auName(au);
      if (j === marked) {
        row.classList.add("fer-marked");
        row.setAttribute("aria-current", "true");
      }
      const cells = ["AU " + au, "", known(value) ? value.toFixed(3) : "none"].map((text) => {
        const cell = document.createElement("span");
        cell.textContent = text;
        row.append(cell);
        return cell;
      });
      const bar = document.createElement("span");
      bar.className = "fer-bar";
      bar.style.width = known(value) ? Math.max(0, 100 * value / view.largest) + "%" : "0";
      cells[1].append(bar);
      return row;
    }));
  }

  function draw() {
    const view = layer(), map = current(), text = sentence(map);
    if (view.originals) drawTiles(part.originals, view.originals, map);
    part.originals.hidden = !view.originals;
    part.hidden.hidden = Boolean(view.originals);
    drawTiles(part.projections, view.projections, map);
    // What comes next is loaded ahead.
    const next = state.order[state.position + 1];
    if (next !== undefined) [view.originals, view.projections].forEach((sheet) => sheet && picture(sheetOf(sheet, next)));
    drawFace(map);
    drawBars(map);
    part.position.value = String(state.position);
    part.position.setAttribute("aria-valuetext", "map " + map + ", place " + (state.position + 1) + " of " +
      state.order.length);
    if (document.activeElement !== part.number) part.number.value = String(map);
    part.line.textContent = text;
    part.originals.setAttribute("aria-label", "Pictures that excite map " + map + " most");
    part.projections.setAttribute("aria-label", "What map " + map + " responds to in these pictures");
    part.face.setAttribute("aria-label", "Where the maxima of map " + map + " lie on the mean face");
    clearTimeout(state.announce);
    // Spoken only once the reader has stopped moving, and not while playing.
    if (!state.timer) {
      state.announce = setTimeout(() => {
        if (part.live.textContent !== text) part.live.textContent = text;
      }, 400);
    }
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = 0;
    part.play.textContent = "▶";
    part.play.setAttribute("aria-label", "Play");
  }

  function move(position) {
    state.position = Math.min(Math.max(position, 0), state.order.length - 1);
    draw();
  }

  function play() {
    if (state.timer) {
      stop();
      draw();
      return;
    }
    if (state.position === state.order.length - 1) state.position = 0;
    part.play.textContent = "⏸";
    part.play.setAttribute("aria-label", "Pause");
    state.timer = setInterval(() => {
      // A notebook may have removed the output.
      if (!root.isConnected || state.position >= state.order.length - 1) stop();
      else state.position += 1;
      draw();
    }, 600);
    draw();
  }

  function selectLayer() {
    stop();
    state.layer = Number(part.layer.value);
    const view = layer(), before = part.au.value, has = Boolean(view.distances);
    part.au.replaceChildren(new Option("all maps", ""), ...(has ? view.aus : []).map(
      (au) => new Option(auName(au), String(au))));
    part.au.value = has && view.aus.includes(Number(before)) ? before : "";
    part.au.disabled = !has;
    part.order.querySelector('[value="distance"]').disabled = !has;
    if (!has && part.order.value === "distance") part.order.value = "number";
    sortMaps(null);
    draw();
  }

  function reorder(keep) {
    stop();
    sortMaps(keep);
    draw();
  }

  data.layers.forEach((view, i) => part.layer.append(new Option(view.name, String(i))));
  part.layer.addEventListener("change", selectLayer);
  part.position.addEventListener("input", () => { stop(); move(Number(part.position.value)); });
  part.number.addEventListener("input", () => {
    const at = state.order.indexOf(Number(part.number.value));
    if (part.number.value !== "" && at >= 0) { stop(); move(at); }
  });
  part.number.addEventListener("blur", () => { part.number.value = String(current()); });
  part.previous.addEventListener("click", () => { stop(); move(state.position - 1); });
  part.next.addEventListener("click", () => { stop(); move(state.position + 1); });
  part.play.addEventListener("click", play);
  part.order.addEventListener("change", () => reorder(null));
  part.au.addEventListener("change", () => {
    part.order.value = part.au.value === "" ? "number" : "distance";
    reorder(part.au.value === "" ? current() : null);
  });
  function turn(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    stop();
    move(state.position + (event.key === "ArrowLeft" ? -1 : 1));
    part.number.value = String(current());
  }
  root.addEventListener("keydown", (event) => {
    // Also in a list, which would choose another entry, and in the number, where they would move the caret; the slider
    // does it by itself. Notebooks and book themes must not turn the page meanwhile.
    if (event.target !== part.position) turn(event);
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") event.stopPropagation();
  });
  // While nothing that needs these keys has the focus, they turn the first explorer in sight.
  const needed = 'input, select, textarea, [contenteditable], [role="slider"], [tabindex="0"]';
  document.addEventListener("keydown", function anywhere(event) {
    if (!root.isConnected) return document.removeEventListener("keydown", anywhere);
    const place = root.closest("article"), { top, bottom } = root.getBoundingClientRect();
    const free = event.target === document.body || (place?.contains(event.target) && !event.target.closest(needed));
    if (free && top < innerHeight && bottom > 0) turn(event);
    return undefined;
  });
  selectLayer();
  // An address such as #conv3/113 opens that map.
  function follow() {
    const [, name, map] = /^#(\w+)\/(\d+)$/.exec(location.hash) || [], i = data.layers.findIndex((view) => view.name === name);
    if (i < 0 || Number(map) >= data.layers[i].dead.length) return;
    part.layer.value = String(i);
    selectLayer();
    move(state.order.indexOf(Number(map)));
  }
  window.addEventListener("hashchange", follow);
  follow();
})();
