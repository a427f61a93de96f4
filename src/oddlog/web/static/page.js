// Charts, the keyboard, and the name that answers are signed with. Everything else is HTML, swapped by htmx.
"use strict";
(() => {
  const KEY = "oddlog.who";
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const stored = (() => { try { return localStorage; } catch { return null; } })();

  // -- who says so: typed once, kept in this browser, where no token says it ---------------------------------
  const sign = (within = document) => all("[data-who]", within).forEach((field) => { field.value ||= stored?.getItem(KEY) ?? ""; });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-who]")) stored?.setItem(KEY, event.target.value.trim());
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  // -- what htmx is told ------------------------------------------------------------------------------------
  document.addEventListener("htmx:before:request", () => sign());
  document.addEventListener("htmx:config:request", (event) => {
    const request = event.detail.ctx.request;
    const csrf = one("meta[name=csrf]")?.content;
    if (csrf) request.headers["X-CSRF"] = csrf;
    if (request.body?.has?.("who") && !request.body.get("who")) request.body.set("who", stored?.getItem(KEY) ?? "");
  });
  document.addEventListener("htmx:after:swap", () => { sign(); mark(); });
  document.addEventListener("htmx:error", () => say("The service does not answer."));
  document.addEventListener("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    if (ctx.response.status === 401) { location.href = "/login"; event.preventDefault(); return; }
    if (ctx.response.status < 400) return;
    // What went wrong is said below; what was shown stays.
    ctx.response.raw.text().then((text) => say(new DOMParser().parseFromString(text, "text/html").body.textContent.trim()));
    event.preventDefault();
  });
  let quiet = 0;
  const say = (text) => {
    const box = one("#said");
    box.textContent = text;
    clearTimeout(quiet);
    quiet = setTimeout(() => { box.textContent = ""; }, 6000);
  };

  // -- the keyboard -------------------------------------------------------------------------------------------
  let at = "";
  const rows = () => all("[data-rows] .row");
  const mark = () => rows().forEach((row) => row.classList.toggle("at", row.dataset.id === at));
  const move = (step) => {
    const list = rows();
    if (!list.length) return;
    const i = list.findIndex((row) => row.dataset.id === at);
    const next = list[i < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(Math.max(i + step, 0), list.length - 1)];
    at = next.dataset.id;
    mark();
    next.scrollIntoView({ block: "nearest" });
    if (step > 0 && next === list.at(-1)) one(".further a")?.click();
  };
  const press = (key) => {
    const within = one(`.row[data-id="${CSS.escape(at)}"]`) ?? one("#answer") ?? document;
    const button = one(`button[data-key="${key}"]`, within) ?? (key === "z" ? one(`button[data-key="z"]`) : null);
    button?.click();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const { key } = event;
    if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
    else if (key === "Enter" && at && event.target === document.body) one(`.row[data-id="${CSS.escape(at)}"] .what`)?.click();
    else if ("uamz".includes(key) && key.length === 1) press(key);
    else if (key === "/") { const field = one(".filter input:not([type=hidden])"); field?.focus(); if (field) event.preventDefault(); }
    else if (key === "Escape") { at = ""; mark(); }
  });

  // -- charts -------------------------------------------------------------------------------------------------
  const CHARTS = {
    lines: { series: [["lines", "lines", "--bar"]] },
    "lines odd": { series: [["lines", "lines", "--bar"], ["odd windows", "odd", "--odd", true]] },
    errors: { series: [["errors", "errors", "--critical"], ["new types", "unseen", "--alone"]] },
    scores: { series: [["highest score", "top", "--odd"]], limit: 1, log: true },
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => value >= 1e6 ? `${+(value / 1e6).toPrecision(3)}M` : value >= 1e4 ? `${+(value / 1e3).toPrecision(3)}k` : `${+value.toPrecision(3)}`;
  const two = (n) => String(n).padStart(2, "0"), MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const clock = (seconds) => { const at = new Date(seconds * 1e3); return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`; };
  const day = (seconds) => { const at = new Date(seconds * 1e3); return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`; };
  // The hour below each line, and the day where a day begins.
  const times = (_, ticks) => ticks.map((at, i) => {
    const begins = i === 0 || day(at) !== day(ticks[i - 1]);
    return ticks.length > 1 && ticks[1] - ticks[0] >= 86400 ? day(at) : begins ? `${clock(at)}\n${day(at)}` : clock(at);
  });
  const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");

  const bands = (incidents) => ({
    hooks: {
      drawClear: [(plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        for (const one of incidents) {
          const left = plot.valToPos(one.start, "x", true), right = plot.valToPos(one.end, "x", true);
          if (right < bbox.left || left > bbox.left + bbox.width) continue;
          ctx.fillStyle = colour(`--${one.severity}`);
          ctx.globalAlpha = 0.16;
          const x = Math.max(left, bbox.left), wide = Math.max(Math.min(right, bbox.left + bbox.width) - x, 2 * devicePixelRatio);
          ctx.fillRect(x, bbox.top, wide, bbox.height);
          ctx.globalAlpha = 1;
          ctx.fillRect(x, bbox.top, wide, 3 * devicePixelRatio);
        }
        ctx.restore();
      }],
    },
  });
  const limit = (value) => ({
    hooks: {
      draw: [(plot) => {
        const { ctx, bbox } = plot, y = plot.valToPos(value, "y", true);
        ctx.save();
        ctx.strokeStyle = colour("--limit");
        ctx.setLineDash([5 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.lineWidth = devicePixelRatio;
        ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
        ctx.restore();
      }],
    },
  });

  const draw = async (box) => {
    const kind = CHARTS[box.dataset.chart];
    const asked = new URLSearchParams({ range: box.dataset.range, service: box.dataset.service ?? "" });
    const answer = await fetch(`/v1/rates?${asked}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const told = await answer.json();
    const data = [told.time, ...kind.series.map(([, name]) => told[name])];
    box.replaceChildren();
    box.classList.toggle("none", !data.slice(1).some((row) => row.some(Boolean)));
    if (box.classList.contains("none")) { box.textContent = "Nothing in this time."; return; }
    const grid = { stroke: colour("--grid"), width: 1 }, axis = { stroke: colour("--ink-3"), grid, ticks: grid, font: "11px system-ui, sans-serif" };
    const options = {
      width: box.clientWidth - 20,
      height: 176 - (kind.series.length > 0 ? 28 : 0),
      tzDate: utc,
      cursor: { y: false, drag: { x: false } },
      scales: { y: kind.log ? { range: (_, low, high) => [0, Math.max(high * 1.1, kind.limit * 1.5)] } : { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] }, odd: { range: (_, low, high) => [0, Math.max(high * 3, 4)] } },
      axes: [{ ...axis, values: times, space: 70 }, { ...axis, size: 56, values: (_, ticks) => ticks.map(short) }],
      series: [
        { label: "time", value: (_, seconds) => seconds == null ? "" : `${day(seconds)} ${clock(seconds)}` },
        ...kind.series.map(([label, , name, other]) => ({
          label, stroke: colour(name), width: 1.5, scale: other ? "odd" : "y", points: { show: false },
          fill: other ? undefined : `${colour(name)}33`, paths: uPlot.paths.stepped({ align: 1 }),
          value: (_, value) => value == null ? "–" : short(value),
        })),
      ],
      plugins: [bands(told.incidents), ...(kind.limit ? [limit(kind.limit)] : [])],
    };
    const plot = new uPlot(options, data, box);
    plot.over.addEventListener("click", () => {
      const seconds = plot.posToVal(plot.cursor.left, "x"), near = (told.time[1] - told.time[0]) || 60;
      const hit = told.incidents.find((one) => one.start - near <= seconds && seconds <= one.end + near);
      if (hit) location.href = `/incidents/${hit.id}`;
    });
  };
  const drawAll = () => { if (window.uPlot) all("[data-chart]").forEach(draw); };
  let settled = 0;
  addEventListener("resize", () => { clearTimeout(settled); settled = setTimeout(drawAll, 200); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("DOMContentLoaded", () => {
    sign();
    drawAll();
    // On a phone the row of pages is wider than the screen.
    const nav = one(".bar nav"), here = one("[aria-current]", nav ?? document);
    if (here) nav.scrollLeft = here.offsetLeft - nav.clientWidth / 2;
  });
})();
