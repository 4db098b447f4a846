/* Live refresh, charts, copying and the keyboard. No eval, no inline handlers: it runs under a strict content security policy. */
(() => {
  "use strict";
  const Chart = window.Chart;
  const root = document.querySelector(".ca");
  if (!root) return;

  /* One clock for the page: every part that listens for ca:refresh asks again, unless the tab is hidden or paused. */
  const seconds = Number(root.dataset.refresh) || 0;
  const label = root.querySelector("[data-ca-updated]");
  const pause = root.querySelector("[data-ca-pause]");
  let paused = seconds === 0;
  let updated = Date.now();
  let asked = Date.now();

  const say = () => {
    if (!label) return;
    const age = Math.round((Date.now() - updated) / 1000);
    if (paused) label.textContent = label.dataset.paused;
    else label.textContent = age < 2 ? label.dataset.justNow : label.dataset.secondsAgo.replace("%s", age);
  };
  const refresh = () => {
    asked = Date.now();
    document.body.dispatchEvent(new CustomEvent("ca:refresh"));
  };
  const tick = () => {
    say();
    if (!paused && !document.hidden && Date.now() - asked >= seconds * 1000) refresh();
  };
  if (pause) {
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      say();
    });
  }
  if (seconds) window.setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);

  /* Charts: the canvas stays (hx-preserve), its data comes anew as JSON beside it. */
  const charts = new Map();
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const options = (kind, data) => ({
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    indexAxis: kind === "stacked" ? "y" : "x",
    interaction: { mode: "index", intersect: false },
    plugins: { legend: { display: Boolean(data.legend), position: "bottom", labels: { color: colour("--ca-fg"), boxWidth: 10, font: { size: 11 } } } },
    scales: {
      x: { stacked: kind === "stacked", ticks: { color: colour("--ca-quiet"), maxTicksLimit: 6, maxRotation: 0, font: { size: 10 } }, grid: { display: false }, max: data.xmax },
      y: { stacked: kind === "stacked", min: data.min, max: data.max, display: kind !== "stacked", ticks: { color: colour("--ca-quiet"), maxTicksLimit: 4, font: { size: 10 } }, grid: { color: colour("--ca-line") } },
    },
  });
  const draw = (holder) => {
    const source = document.getElementById(holder.dataset.caChart);
    if (!Chart || !source) return;
    const data = JSON.parse(source.textContent);
    const kind = holder.dataset.kind || "line";
    const datasets = data.series.map((series, i) => ({
      label: series.label,
      data: series.values,
      borderColor: colour(`--ca-hue-${(i % 6) + 1}`),
      backgroundColor: kind === "line" ? "transparent" : colour(`--ca-hue-${(i % 6) + 1}`),
      borderWidth: kind === "line" ? 1.5 : 0,
      borderDash: series.dashed ? [4, 4] : undefined,
      pointRadius: 0,
      tension: 0.2,
      spanGaps: false,
    }));
    const canvas = holder.querySelector("canvas");
    const chart = charts.get(holder.id);
    if (chart && chart.canvas === canvas) {
      chart.data.labels = data.labels;
      chart.data.datasets.forEach((dataset, i) => { dataset.data = datasets[i] ? datasets[i].data : []; });
      if (chart.data.datasets.length !== datasets.length) chart.data.datasets = datasets;
      chart.options = options(kind, data);
      chart.update("none");
      return;
    }
    if (chart) chart.destroy();
    charts.set(holder.id, new Chart(canvas, { type: kind === "line" ? "line" : "bar", data: { labels: data.labels, datasets }, options: options(kind, data) }));
  };
  const drawAll = (scope) => scope.querySelectorAll("[data-ca-chart]").forEach(draw);
  const redraw = () => { charts.forEach((chart) => chart.destroy()); charts.clear(); drawAll(root); };
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  /* What went wrong with a request is said once, at the top; the part keeps what it showed. */
  const notice = document.getElementById("ca-notice");
  const warn = (text) => { if (notice) { notice.textContent = text; notice.hidden = !text; } };
  document.body.addEventListener("htmx:afterSwap", (event) => {
    updated = Date.now();
    warn("");
    drawAll(event.detail.target);
    say();
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    warn(root.dataset[status === 403 ? "forbidden" : "failed"] || "");
  });
  document.body.addEventListener("htmx:sendError", () => warn(root.dataset.offline || ""));

  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-ca-copy]");
    if (!button || !navigator.clipboard) return;
    navigator.clipboard.writeText(button.dataset.caCopy).then(() => {
      button.dataset.caDone = "true";
      window.setTimeout(() => delete button.dataset.caDone, 1500);
    });
  });

  /* Keyboard: / search, j and k rows, Enter opens, ? help. Never while typing. */
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "/") {
      const search = root.querySelector("[data-ca-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j" || event.key === "k") {
      const links = [...root.querySelectorAll("tbody [data-ca-row]")].filter((link) => link.offsetParent);
      const at = links.indexOf(document.activeElement);
      const next = links[Math.min(links.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)))];
      if (next) { event.preventDefault(); next.focus(); }
    } else if (event.key === "?") {
      const help = document.getElementById("ca-help");
      if (help && help.showModal) { event.preventDefault(); help.showModal(); }
    }
  });

  drawAll(root);
  say();
})();
