/* Loaded before embed.js, on the pages that hold widgets.
 * 1. embed.js finds its fonts beside this file, so that a page asks no other host for anything;
 * 2. the theme's FontAwesome leaves the <i> icons in place that the views of Play and Button hold on to:
 *    it would replace them by <svg>, and Play would then fail at its first click. */
(function () {
  window.__jupyter_widgets_assets_path__ = document.currentScript.src.replace(/[^/]*$/, "");
  window.FontAwesomeConfig = { autoReplaceSvg: "nest" };
  if (window.FontAwesome) window.FontAwesome.config.autoReplaceSvg = "nest";
})();
