// Draws the page from the record's JSON. Texts of others only ever become text nodes.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const texts = read("texts");
  const language = document.documentElement.lang;
  const TONES = { healthy: "good", busy: "busy", loading: "busy", sleeping: "good", stopped: "quiet", degraded: "warn", unknown: "warn",
    unhealthy: "bad", stalled: "bad", dead: "bad" };
  const SPANS = { "5m": 300, "15m": 900, "1h": 3600, "24h": 86400, "7d": 604800, "30d": 2592000 };

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  function draw(name, attributes = {}, text = null) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    return element;
  }
  const fill = (id, children) => byId(id).replaceChildren(...children);
  const moment = (at) => new Date(at * 1000).toLocaleString(language, { dateStyle: "short", timeStyle: "medium" });

  function number(value) {
    if (value === null || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e15)) return value.toExponential(2);
    return value.toLocaleString(language, { maximumSignificantDigits: 4 });
  }
  function measure(metric, value) {
    if (metric.includes("_bytes")) {
      const step = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.abs(value) || 1) / 10)));
      return `${number(value / 1024 ** step)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}`;
    }
    if (metric.includes("_seconds") && value && Math.abs(value) < 0.1) return `${number(value * 1000)} ms`;
    for (const [part, unit] of [["_seconds", "s"], ["_percent", "%"], ["_celsius", "°C"], ["_watts", "W"], ["_hertz", "Hz"]])
      if (metric.includes(part)) return `${number(value)} ${unit}`;
    return number(value);
  }

  async function ask(path) {
    const answer = await fetch(path, { headers: { accept: "application/json" } });
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.error || answer.statusText);
    return value;
  }

  // ---------------------------------------------------------------- how things stand
  function word(service) {
    if (service.paused_until) return [texts.paused, "quiet"];
    const phase = service.recovery.phase;
    if (["preflight", "evidence", "stopping", "starting"].includes(phase)) return [texts.restarting, "warn"];
    if (["verifying", "holding"].includes(phase)) return [texts.verifying, "warn"];
    if (phase === "gave_up" && service.state !== "stopped") return [`${texts["state_" + service.state]}, ${texts.gave_up}`, "bad"];
    return [texts["state_" + service.state] || service.state, TONES[service.state] || "warn"];
  }
  function showStatus(doc) {
    if (doc.error) { byId("summary").textContent = doc.error; return; }
    const counts = new Map();
    const rows = doc.services.map((service) => {
      const [said, tone] = word(service);
      counts.set(said, (counts.get(said) || 0) + 1);
      return make("tr", {}, make("th", { scope: "row" }, service.name), make("td", { class: `state ${tone}` }, said),
        make("td", { class: "since" }, service.since ? moment(Date.parse(service.since) / 1000) : ""), make("td", {}, service.reason || ""));
    });
    fill("services", rows);
    const sums = [...counts].map(([said, count]) => `${count} ${said}`).join(" · ") || texts.no_services;
    const daemon = doc.daemon.running ? (doc.daemon.mode === "dry-run" ? texts.dry_run : texts.running) : texts.dead_daemon;
    const summary = `${daemon} · ${sums}`;
    if (byId("summary").textContent !== summary) byId("summary").textContent = summary;
    fill("problems", doc.daemon.problems.map((one) =>
      make("li", {}, `${one.service ? one.service + ": " : ""}${one.reason} → `, make("code", {}, one.remedy || ""))));
    fill("alerts", doc.alerts.length ? doc.alerts.map((alert) => make("li", { class: alert.severity === "critical" ? "bad" : "warn" },
      `${alert.service ? alert.service + ": " : ""}${alert.name} – ${alert.reason} (${moment(Date.parse(alert.since) / 1000)})`))
      : [make("li", {}, texts.none)]);
    showHost(doc.host.metrics);
  }
  function showHost(metrics) {
    const tiles = [], gpus = new Map();
    for (const { metric, labels, value } of metrics) {
      if (metric.startsWith("gpu_") && labels.gpu !== undefined) {
        if (!gpus.has(labels.gpu)) gpus.set(labels.gpu, {});
        gpus.get(labels.gpu)[metric] = value;
      } else if (["host_cpu_percent", "host_memory_percent", "host_swap_percent", "host_load1", "host_disk_percent"].includes(metric)) {
        tiles.push(make("div", {}, make("b", {}, measure(metric, value)), `${metric.replace(/^host_|_percent$/g, "")} ${labels.mount || ""}`));
      }
    }
    fill("host", tiles);
    byId("gpus").hidden = gpus.size === 0;
    fill("gpu-rows", [...gpus].sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true })).map(([name, of]) => {
      const say = (metric) => (metric in of ? measure(metric, of[metric]) : "–");
      return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, say("gpu_utilization_percent")),
        make("td", {}, `${say("gpu_memory_used_bytes")} / ${say("gpu_memory_total_bytes")}`),
        make("td", {}, say("gpu_temperature_celsius")), make("td", {}, say("gpu_power_watts")));
    }));
  }

  // ---------------------------------------------------------------- what happened
  function showTimeline(line, services) {
    const names = [...new Set([...services, ...line.incidents.map((one) => one.service || "host")])];
    const left = 130, width = 900, height = 26, span = line.until - line.since;
    const x = (at) => left + (width - left) * Math.min(1, Math.max(0, (at - line.since) / span));
    const svg = draw("svg", { viewBox: `0 0 ${width} ${names.length * height + 24}`, role: "img",
      "aria-label": `${line.incidents.length} × ${texts.incident}, ${line.marks.filter((m) => m.event === "restart_started").length} × ${texts.restart}` });
    names.forEach((name, row) => {
      const y = row * height + 4;
      svg.append(draw("text", { x: 0, y: y + 13 }, name.length > 18 ? name.slice(0, 17) + "…" : name));
      svg.append(draw("rect", { x: left, y, width: width - left, height: height - 8, class: "row" }));
      for (const one of line.incidents.filter((o) => (o.service || "host") === name)) {
        const from = x(one.from), to = x(one.until === null ? line.until : one.until);
        const rect = draw("rect", { x: from, y, width: Math.max(2, to - from), height: height - 8, class: "incident" });
        rect.append(draw("title", {}, `${texts.incident} ${one.id}: ${one.reason} (${moment(one.from)})`));
        svg.append(rect);
      }
      for (const mark of line.marks.filter((m) => m.service === name && m.event === "restart_started")) {
        const at = draw("circle", { cx: x(mark.at), cy: y + (height - 8) / 2, r: 4, class: "restart" });
        at.append(draw("title", {}, `${moment(mark.at)} ${mark.reason}`));
        svg.append(at);
      }
    });
    for (let part = 0; part <= 4; part += 1) {
      const at = line.since + (span * part) / 4, anchor = part === 0 ? "start" : part === 4 ? "end" : "middle";
      const said = new Date(at * 1000).toLocaleString(language, span > 172800 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" });
      svg.append(draw("text", { x: x(at), y: names.length * height + 18, "text-anchor": anchor }, said));
    }
    const box = byId("timeline"), isNew = !box.firstChild, was = box.scrollLeft;
    fill("timeline", [svg]);
    box.scrollLeft = isNew ? box.scrollWidth : was; // the newest is at the right
    fill("marks", line.marks.length ? line.marks.slice(-200).reverse().map((m) => make("li", {}, `${moment(m.at)} ${m.service || "host"}: ${m.reason}`))
      : [make("li", {}, texts.none)]);
  }
  function showIncidents(stories) {
    fill("incidents", stories.length ? stories.reverse().slice(0, 100).map((story) => make("li", {},
      make("a", { href: `/incidents/${story.id}${location.search}` }, `${story.id} · ${story.services.map((s) => s || "host").join(", ")}`),
      ` ${moment(Date.parse(story.opened_at) / 1000)} – ${story.reason} (${story.closed_at ? texts.over : texts.open}, ${story.minutes} min)`))
      : [make("li", {}, texts.none)]);
  }

  // ---------------------------------------------------------------- trends
  let plot = null;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function showTrend(trend) {
    if (plot) { plot.destroy(); plot = null; }
    byId("chart").replaceChildren();
    const say = (value) => measure(trend.metric, value);
    if (trend.at.length === 0) {
      byId("chart-text").textContent = texts.no_data;
      fill("quantiles", []);
      fill("bars", []);
      return;
    }
    const series = [{ label: texts.time }, { label: texts.mean, stroke: colour("--link"), width: 1.5, value: (_, v) => say(v) },
      { label: texts.most, stroke: colour("--band"), width: 1, value: (_, v) => say(v) }, { label: texts.least, stroke: colour("--band"), width: 1, value: (_, v) => say(v) }];
    const rows = [trend.at, trend.mean, trend.most, trend.least];
    for (const level of trend.levels)
      for (const side of ["above", "below"])
        if (level[side] !== null) {
          series.push({ label: `${level.rule}: ${texts.fires}`, stroke: colour("--bad"), dash: [6, 4], width: 1, points: { show: false }, value: (_, v) => say(v) });
          rows.push(trend.at.map(() => level[side]));
        }
    const bands = [{ series: [2, 3], fill: colour("--band") }];
    if (trend.expected) {
      const line = { stroke: colour("--warn"), width: 0.8, points: { show: false }, value: (_, v) => say(v) };
      series.push({ ...line, label: `${trend.expected.rule}: ${texts.expected} ↑` }, { ...line, label: "↓" });
      rows.push(trend.expected.high, trend.expected.low);
      bands.push({ series: [series.length - 2, series.length - 1], fill: colour("--expected") });
    }
    if (trend.anomalies.length) {
      const dots = trend.at.map(() => null);
      for (const one of trend.anomalies) {
        let place = trend.at.findIndex((at) => at > one.at);
        place = Math.max(0, (place < 0 ? trend.at.length : place) - 1);
        dots[place] = trend.most[place];
      }
      series.push({ label: texts.anomaly, stroke: colour("--bad"), paths: () => null, points: { show: true, size: 9, fill: colour("--bad") }, value: (_, v) => (v === null ? "" : say(v)) });
      rows.push(dots);
    }
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { stroke: colour("--line") } };
    plot = new uPlot({ width: byId("chart").clientWidth || 600, height: 260, series, bands,
      axes: [axis, { ...axis, size: 86, values: (_, values) => values.map(say) }], cursor: { y: false } }, rows, byId("chart"));
    const last = trend.last[trend.last.length - 1];
    byId("chart-text").textContent = `${texts.least} ${say(Math.min(...trend.least))} · ${texts.most} ${say(Math.max(...trend.most))} · ${moment(trend.at[trend.at.length - 1])}: ${say(last)} · ${texts.samples.replace("{count}", trend.count)}`;
    fill("quantiles", Object.entries(trend.quantiles).map(([share, value]) => make("tr", {}, make("th", { scope: "row" }, `${share * 100} %`), make("td", {}, say(value)))));
    showBars(trend.bars, say);
  }
  function showBars(bars, say) {
    const width = 600, height = 150, most = Math.max(...bars.map((bar) => bar[2]));
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height + 20}` });
    bars.forEach(([low, high, count], place) => {
      const tall = (height * count) / most;
      const bar = draw("rect", { x: (place * width) / bars.length, y: height - tall, width: width / bars.length - 1, height: tall, class: "bar" });
      bar.append(draw("title", {}, `${say(low)} – ${say(high)}: ${count}`));
      svg.append(bar);
    });
    svg.append(draw("text", { x: 0, y: height + 16 }, say(bars[0][0])), draw("text", { x: width, y: height + 16, "text-anchor": "end" }, say(bars[bars.length - 1][1])));
    fill("bars", [svg]);
  }

  // ---------------------------------------------------------------- the page
  let names = [];
  const report = (error) => { byId("chart-text").textContent = String(error.message || error); };
  const span = () => (SPANS[byId("span").value] ? byId("span").value : "24h");
  async function loadTrend() {
    const chosen = byId("series").value;
    if (!chosen) return;
    const { metric, labels } = JSON.parse(chosen);
    const asked = new URLSearchParams({ metric, labels: JSON.stringify(labels), since: span() });
    try { showTrend(await ask(`/api/v1/trend?${asked}`)); } catch (error) { report(error); }
  }
  async function loadTimeline() {
    try { showTimeline(await ask(`/api/v1/timeline?since=${span()}`), names); } catch (error) { report(error); }
  }
  async function loadIncidents() {
    try { showIncidents(await ask("/api/v1/incidents?since=30d")); } catch (error) { report(error); }
  }
  async function loadSeries() {
    try {
      const found = await ask("/api/v1/series");
      found.sort((a, b) => (a.metric === "probe_duration_seconds" ? -1 : b.metric === "probe_duration_seconds" ? 1 : a.metric.localeCompare(b.metric)));
      const text = JSON.stringify(found), chosen = byId("series").value;
      if (text === loadSeries.text) return;
      loadSeries.text = text;
      fill("series", found.map((one) => make("option", { value: JSON.stringify(one) },
        `${one.metric} ${Object.entries(one.labels).filter(([name]) => name !== "uuid").map(([name, value]) => `${name}=${value}`).join(" ")}`)));
      if (found.some((one) => JSON.stringify(one) === chosen)) byId("series").value = chosen;
      else await loadTrend();
    } catch (error) { report(error); }
  }
  function take(doc) {
    const states = JSON.stringify((doc.services || []).map((one) => [one.name, one.state, one.recovery.phase]));
    names = (doc.services || []).map((one) => one.name);
    showStatus(doc);
    if (states !== take.states) { take.states = states; loadTimeline(); loadIncidents(); loadSeries(); }
  }
  function follow() {
    const source = new EventSource("/api/v1/live");
    source.onopen = () => { byId("live").textContent = `● ${texts.live}`; };
    source.onmessage = (event) => take(JSON.parse(event.data));
    source.onerror = () => { byId("live").textContent = texts.lost; };
  }
  byId("span").addEventListener("change", () => { loadTrend(); loadTimeline(); });
  byId("series").addEventListener("change", loadTrend);
  let resizing = 0;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => plot && plot.setSize({ width: byId("chart").clientWidth, height: 260 }), 150); });
  let rounds = 0;
  setInterval(() => {
    rounds += 1;
    const isRare = rounds % 6 === 0;
    if (document.hidden || (SPANS[span()] > 3600 && !isRare)) return; // of a long time little is new after 10 s
    loadSeries();
    loadTrend();
    loadTimeline();
    if (isRare) loadIncidents(); // a new one changes a service's state, and is asked for then
  }, 10000);
  const first = read("status");
  const watched = (Date.now() - Date.parse(first.daemon && first.daemon.started_at)) / 1000;
  if (watched < SPANS["15m"]) byId("span").value = watched < SPANS["5m"] ? "5m" : "15m"; // in a day so little could not be seen
  take(first);
  follow();
})();
