/* Loaded before embed.js, on the pages that hold widgets. */
(function () {
  // embed.js finds its fonts beside this file, so that a page asks no other host for anything.
  window.__jupyter_widgets_assets_path__ = document.currentScript.src.replace(/[^/]*$/, "");

  // The theme's FontAwesome leaves the <i> icons in place that the views of Play and Button hold on to:
  // it would replace them by <svg>, and Play would fail at its first click.
  window.FontAwesomeConfig = { autoReplaceSvg: "nest" };
  if (window.FontAwesome) window.FontAwesome.config.autoReplaceSvg = "nest";

  // Widgets typeset their labels with MathJax 2's queue; the pages have MathJax 3.
  window.addEventListener("load", function () {
    if (!window.MathJax || window.MathJax.Hub) return;
    window.MathJax.Hub = {
      Queue: function (job) {
        window.MathJax.startup.promise.then(function () { window.MathJax.typesetPromise([job[2]]); });
      },
    };
  });

  // Names for screen readers, which the widgets lack: a slider's is its label, a button's is its icon's,
  // a picture's is its tooltip.
  var BUTTONS = { "fa-play": "play", "fa-pause": "pause", "fa-stop": "stop", "fa-retweet": "repeat" };
  function name(root) {
    root.querySelectorAll("[role=slider]:not([aria-label])").forEach(function (slider) {
      var label = slider.closest(".jupyter-widgets").querySelector(".widget-label");
      slider.setAttribute("aria-label", (label && label.textContent) || "value");
    });
    root.querySelectorAll(".jupyter-button:not([aria-label])").forEach(function (button) {
      var icon = button.querySelector("i");
      if (!icon || button.textContent.trim()) return;
      var known = Object.keys(BUTTONS).find(function (c) { return icon.classList.contains(c); });
      if (known) button.setAttribute("aria-label", BUTTONS[known]);
    });
    root.querySelectorAll("img.widget-image:not([alt])").forEach(function (picture) {
      picture.alt = picture.title;
    });
  }
  new MutationObserver(function () { name(document); }).observe(document, { childList: true, subtree: true });
})();
