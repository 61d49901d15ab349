(function () {
  "use strict";
  // Each run of the script takes the first slider that none has taken yet; what it shows stands in the slider itself.
  const root = document.querySelector(".fer-slider:not([data-ready])");
  if (!root) return;
  root.dataset.ready = "true";
  const part = {};
  for (const one of root.querySelectorAll("[data-part]")) part[one.dataset.part] = one;
  const { pictures, labels, alt } = JSON.parse(part.data.textContent);
  const last = pictures.length - 1;
  const asked = new Map();
  let shown = 0, timer = 0;

  // Only what is looked at is loaded, and what comes next.
  function ask(place) {
    if (place < 0 || place > last || asked.has(place)) return;
    const image = new Image();
    image.src = pictures[place];
    asked.set(place, image);
  }

  // Until a picture is there the one before it stands pale, so that it is not taken for what the caption says.
  function settle() {
    part.picture.classList.toggle("fer-waiting", !part.picture.complete);
  }
  part.picture.addEventListener("load", settle);
  part.picture.addEventListener("error", settle);

  function show(place) {
    shown = Math.min(Math.max(place, 0), last);
    part.picture.src = pictures[shown];
    part.picture.alt = alt + "; " + labels[shown];
    settle();
    part.caption.textContent = labels[shown];
    part.number.textContent = String(shown);
    part.position.value = String(shown);
    part.position.setAttribute("aria-valuetext", labels[shown]);
    ask(shown + 1);
    ask(shown - 1);
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    part.play.textContent = "▶";
    part.play.setAttribute("aria-label", "Play");
  }

  function step() {
    // A notebook may have removed the output; a slow connection is waited for.
    if (!root.isConnected) stop();
    else if (part.picture.complete) show(shown + 1);
    if (shown === last) stop();
  }

  part.play.addEventListener("click", () => {
    if (timer) {
      stop();
      return;
    }
    part.play.textContent = "⏸";
    part.play.setAttribute("aria-label", "Pause");
    timer = setInterval(step, 400);
    show(shown === last ? 0 : shown + 1);
  });
  part.position.addEventListener("input", () => { stop(); show(Number(part.position.value)); });
  root.addEventListener("keydown", (event) => {
    // Notebooks and book themes must not turn the page meanwhile.
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") event.stopPropagation();
  });
})();
