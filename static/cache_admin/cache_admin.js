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
  const tick = () => {
    say();
    if (paused || document.hidden || Date.now() - asked < seconds * 1000) return;
    asked = Date.now();
    document.body.dispatchEvent(new CustomEvent("ca:refresh"));
  };
  if (pause) {
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? pause.dataset.again : pause.dataset.pause;
      tick();
    });
  }
  if (seconds) window.setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);

  /* Charts: the holder stays (hx-preserve), its data comes anew as JSON beside it. */
  const charts = new Map();
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const language = document.documentElement.lang || undefined;
  const number = (value, digits) => value.toLocaleString(language, { maximumFractionDigits: digits });
  const scaled = (value, base, names) => {
    let step = 0;
    while (Math.abs(value) >= base && step < names.length - 1) { value /= base; step += 1; }
    return `${number(value, Math.abs(value) < 10 ? 1 : 0)}${names[step]}`;
  };
  const formats = {
    bytes: (value) => scaled(value, 1024, ["\u00a0B", "\u00a0KB", "\u00a0MB", "\u00a0GB", "\u00a0TB"]),
    percent: (value) => `${number(value, 1)}\u00a0%`,
    count: (value) => scaled(value, 1000, ["", "\u00a0k", "\u00a0M"]),
    rate: (value) => `${scaled(value, 1000, ["", "\u00a0k", "\u00a0M"])}/s`,
  };
  const marks = {
    id: "caMarks",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area, scales } = chart;
      ctx.save();
      (chart.caMarks || []).forEach(({ at, kind }) => {
        const x = scales.x.getPixelForValue(at);
        const deploy = kind === "deploy";
        ctx.strokeStyle = ctx.fillStyle = colour(deploy ? "--ca-fg" : "--ca-warn");
        ctx.setLineDash(deploy ? [] : [3, 3]);
        ctx.beginPath();
        ctx.moveTo(x, area.top);
        ctx.lineTo(x, area.bottom);
        ctx.stroke();
        if (!deploy) return;
        ctx.beginPath(); /* a flag: told apart without colour too */
        ctx.moveTo(x, area.top);
        ctx.lineTo(x + 8, area.top + 4);
        ctx.lineTo(x, area.top + 8);
        ctx.fill();
      });
      ctx.restore();
    },
  };
  const options = (data) => {
    const format = formats[data.unit] || ((value) => number(value, 1));
    const ticks = { color: colour("--ca-quiet"), maxRotation: 0, font: { size: 10 } };
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: Boolean(data.legend), position: "top", align: "end", labels: { color: colour("--ca-quiet"), boxWidth: 14, boxHeight: 1, padding: 6, font: { size: 11 } } },
        tooltip: {
          callbacks: {
            label: (item) => `${item.dataset.label}: ${format(item.parsed.y)}`,
            footer: (items) => (data.marks || []).filter((mark) => mark.at === items[0]?.dataIndex).map((mark) => mark.label),
          },
        },
      },
      scales: {
        x: { stacked: Boolean(data.stacked), ticks: { ...ticks, autoSkip: true, maxTicksLimit: 4 }, grid: { display: false }, border: { color: colour("--ca-border") } },
        y: {
          stacked: Boolean(data.stacked),
          min: data.min, max: data.max ?? undefined, suggestedMax: data.atLeast,
          ticks: { ...ticks, maxTicksLimit: 4, callback: format }, grid: { color: colour("--ca-line") }, border: { display: false },
          afterFit: (scale) => { scale.width = 56; },
        },
      },
    };
  };
  const dataset = (series, i) => ({
    label: series.label,
    data: series.values,
    borderColor: colour(series.dashed ? "--ca-quiet" : `--ca-hue-${(i % 6) + 1}`),
    backgroundColor: colour(`--ca-hue-${(i % 6) + 1}`),
    borderWidth: series.dashed ? 1 : 1.75,
    borderDash: series.dashed ? [4, 4] : undefined,
    pointRadius: series.values.map((value, at) => (value !== null && (series.values[at - 1] ?? null) === null && (series.values[at + 1] ?? null) === null ? 1.5 : 0)),
    pointHitRadius: 8,
    tension: 0,
    spanGaps: false,
  });
  const draw = (holder) => {
    const source = document.getElementById(holder.dataset.caChart);
    if (!Chart || !source) return;
    const data = JSON.parse(source.textContent);
    const canvas = holder.querySelector("canvas");
    let chart = charts.get(holder.id);
    if (chart && chart.canvas !== canvas) { chart.destroy(); chart = undefined; }
    const content = { labels: data.labels, datasets: data.series.map(dataset) };
    if (chart) {
      chart.data = content;
      chart.options = options(data);
    } else {
      chart = new Chart(canvas, { type: holder.dataset.kind || "line", data: content, options: options(data), plugins: [marks] });
      charts.set(holder.id, chart);
    }
    chart.caMarks = data.marks;
    chart.update("none");
  };
  const drawAll = (scope) => scope.querySelectorAll("[data-ca-chart]").forEach(draw);
  const redraw = () => drawAll(root);
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  /* What a reader opened or scrolled stays so when the part around it is drawn anew; htmx keeps the focus. */
  const held = new Map();
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const within = event.detail.target;
    held.set(within, {
      open: [...within.querySelectorAll("details[open][id]")].map((part) => part.id),
      scrolled: [...within.querySelectorAll("[data-ca-scroll][id]")].map((part) => [part.id, part.scrollTop, part.scrollLeft]),
    });
  });
  const restore = (within) => {
    const before = held.get(within);
    if (!before) return;
    held.delete(within);
    before.open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    before.scrolled.forEach(([id, top, left]) => document.getElementById(id)?.scrollTo(left, top));
  };

  /* What went wrong with a request is said once, at the top; the part keeps what it showed. */
  const notice = document.getElementById("ca-notice");
  let failed = null; // who was refused; the notice stays until that one has an answer, whatever the others get
  const warn = (text, by = null) => {
    failed = by;
    if (notice) { notice.textContent = text; notice.hidden = !text; }
  };
  document.body.addEventListener("htmx:afterSwap", (event) => {
    updated = Date.now();
    if (!failed?.isConnected || failed === event.detail.requestConfig?.elt) warn("");
    restore(event.detail.target);
    drawAll(event.detail.target);
    say();
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    const { status, responseText } = event.detail.xhr;
    const reason = new DOMParser().parseFromString(responseText, "text/html").querySelector(".ca-error");
    warn(reason ? reason.textContent : root.dataset[status === 403 ? "forbidden" : "failed"] || "", event.detail.requestConfig?.elt);
  });
  document.body.addEventListener("htmx:sendError", () => warn(root.dataset.offline || ""));

  const help = document.getElementById("ca-help");
  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-ca-help]")) help?.showModal();
    const button = event.target.closest("[data-ca-copy]");
    if (!button || !navigator.clipboard) return;
    navigator.clipboard.writeText(button.dataset.caCopy).then(() => {
      button.dataset.caDone = "true";
      window.setTimeout(() => delete button.dataset.caDone, 1500);
    });
  });

  /* Keyboard: / search, j and k rows (Enter opens, they are links), p pause, ? help, Esc closes. Never while typing. */
  const toRow = (step) => {
    const links = [...root.querySelectorAll("[data-ca-row]")].filter((link) => link.offsetParent);
    const at = links.indexOf(document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
  };
  const toSearch = () => {
    const search = root.querySelector("[data-ca-search]");
    search?.focus();
    search?.select();
  };
  const shortcuts = { "/": toSearch, j: () => toRow(1), k: () => toRow(-1), p: () => pause?.click(), "?": () => help?.showModal() };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
    if (event.key === "Escape") root.querySelectorAll(".ca-twin[open]").forEach((part) => part.removeAttribute("open"));
    if (event.target.closest("input, textarea, select, [contenteditable]") || !Object.hasOwn(shortcuts, event.key)) return;
    event.preventDefault();
    shortcuts[event.key]();
  });

  drawAll(root);
  say();
})();
