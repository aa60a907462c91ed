/* Draws the charts with uPlot where scripts run, and lets live updates be paused. Without it the page says the same. */
(function () {
  "use strict";
  var paused = false;

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function clock(seconds) {
    return new Date(seconds * 1000).toISOString().slice(11, 16);
  }

  function draw(place) {
    var rows = JSON.parse(place.getAttribute("data-series"));
    if (!rows[0].length || !window.uPlot) return;
    var soft = color("--soft"), line = color("--line");
    var axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    place.textContent = "";
    new window.uPlot({
      width: Math.max(240, place.clientWidth),
      height: 200,
      legend: { show: false },
      cursor: { show: false },
      tzDate: function (seconds) { return window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"); },
      scales: { y: { range: function (chart, low, high) { return [0, Math.max(1, high)]; } } },
      axes: [Object.assign({ values: function (chart, places) { return places.map(clock); } }, axis), Object.assign({ size: 44 }, axis)],
      series: [
        {},
        { label: "primary", stroke: color("--primary"), width: 2, points: { show: false } },
        { label: "fallback", stroke: color("--fallback"), width: 2, dash: [6, 3], points: { show: false } },
        { label: "failed", stroke: color("--failing"), width: 2, dash: [2, 3], points: { show: false } },
      ],
    }, rows, place);
  }

  function start() {
    document.querySelectorAll(".chart[data-series]").forEach(draw);
    var button = document.getElementById("pause");
    if (!button) return;
    button.parentElement.hidden = false;
    button.setAttribute("aria-pressed", String(paused));
    button.addEventListener("click", function () {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
    });
  }

  document.addEventListener("htmx:beforeRequest", function (event) {
    if (paused || document.hidden) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", start);
  start();
})();
