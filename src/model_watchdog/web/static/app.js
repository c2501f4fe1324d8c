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
  /** A text of others: whichever way it runs, it turns nothing around it. */
  const apart = (text) => make("bdi", {}, text);
  const fill = (id, children) => byId(id).replaceChildren(...children);
  const two = (value) => String(value).padStart(2, "0");
  const day = (on) => `${on.getFullYear()}-${two(on.getMonth() + 1)}-${two(on.getDate())}`;
  const clock = (on, withSeconds) => `${two(on.getHours())}:${two(on.getMinutes())}${withSeconds ? `:${two(on.getSeconds())}` : ""}`;
  /** As the report and the commands write it, in this browser's zone: 2026-11-28 03:58:37. */
  const moment = (at) => { const on = new Date(at * 1000); return `${day(on)} ${clock(on, true)}`; };
  const momentOf = (text) => moment(Date.parse(text) / 1000);
  /** What stands at an axis: the day where it begins, or where it is the first. */
  function ticks(ats, step) {
    let known = "";
    return ats.map((at) => {
      const on = new Date(at * 1000), today = day(on), said = step >= 86400 ? "" : clock(on, step < 60);
      const isNew = today !== known;
      known = today;
      return said && !isNew ? said : `${said}${said ? "\n" : ""}${today}`;
    });
  }
  function sayZone() {
    const minutes = -new Date().getTimezoneOffset(), size = Math.abs(minutes);
    byId("zone").textContent = texts.zone.replace("{zone}", `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`);
  }

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
      return make("tr", {}, make("th", { scope: "row" }, apart(service.name)), make("td", { class: `state ${tone}` }, said),
        make("td", { class: "since" }, service.since ? momentOf(service.since) : ""), make("td", {}, apart(service.reason || "")));
    });
    fill("services", rows);
    const sums = [...counts].map(([said, count]) => `${count} ${said}`).join(" · ") || texts.no_services;
    const daemon = doc.daemon.running ? (doc.daemon.mode === "dry-run" ? texts.dry_run : texts.running) : texts.dead_daemon;
    const summary = `${daemon} · ${sums}`;
    if (byId("summary").textContent !== summary) byId("summary").textContent = summary;
    fill("problems", doc.daemon.problems.map((one) =>
      make("li", {}, apart(`${one.service ? one.service + ": " : ""}${one.reason}`), " → ", make("code", {}, one.remedy || ""))));
    fill("alerts", doc.alerts.length ? doc.alerts.map((alert) => make("li", { class: alert.severity === "critical" ? "bad" : "warn" },
      apart(`${alert.service ? alert.service + ": " : ""}${alert.name} – ${alert.reason}`), ` (${momentOf(alert.since)})`))
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
  const SHAPES = { restart_started: "M0-5A5 5 0 1 0 0 5A5 5 0 1 0 0-5Z", recovered: "M0-6L6 5L-6 5Z", restart_failed: "M-5-5L5 5M5-5L-5 5", gave_up: "M-5-5H5V5H-5Z" };
  const UP = { busy: "busy", degraded: "degraded" };
  const kindOf = ([, , kind, state]) => (kind === "up" && UP[state]) || kind;
  function shape(event, x, y) {
    const found = draw("g", { class: `mark m-${event}`, transform: `translate(${x} ${y})` });
    found.append(draw("path", { d: SHAPES[event] }));
    return found;
  }
  function titled(element, text) { element.append(draw("title", {}, text)); return element; }
  function drawRow(line, name, spans, width) {
    const x = (at) => width * Math.min(1, Math.max(0, (at - line.since) / (line.until - line.since)));
    const svg = draw("svg", { width, height: 30, role: "img" });
    for (const span of spans) {
      const [from, to] = span, kind = kindOf(span), left = x(from);
      const rect = draw("rect", { x: left, y: 7, width: Math.max(kind === "down" ? 2 : 0.5, x(to) - left), height: 16, class: `k-${kind}` });
      svg.append(titled(rect, `${texts["kind_" + kind]}${span[3] && span[2] === "down" ? ` (${texts["state_" + span[3]] || span[3]})` : ""}: ${moment(from)} – ${moment(to)}`));
    }
    for (const one of line.incidents.filter((o) => (o.service || "host") === name)) {
      const from = x(one.from), to = x(one.until === null ? line.until : one.until);
      const rect = draw("rect", { x: from, y: 25, width: Math.max(2, to - from), height: 4, class: "incident" });
      svg.append(titled(rect, `${texts.incident} ${one.id}: ${one.reason} (${moment(one.from)})`));
    }
    for (const mark of line.marks.filter((m) => (m.service || "host") === name && SHAPES[m.event]))
      svg.append(titled(shape(mark.event, x(mark.at), 15), `${texts["mark_" + mark.event]}: ${moment(mark.at)} ${mark.reason}`));
    const told = [...new Set(spans.map(kindOf))].map((kind) => texts["kind_" + kind]).join(", ");
    svg.setAttribute("aria-label", `${name}: ${told}`);
    return svg;
  }
  function drawKey(line) {
    const small = () => draw("svg", { width: 14, height: 14, "aria-hidden": "true" });
    const kinds = new Set(line.services.flatMap((one) => one.spans.map(kindOf)));
    const events = new Set(line.marks.map((mark) => mark.event));
    const told = [];
    for (const kind of Object.keys(texts).filter((name) => name.startsWith("kind_")).map((name) => name.slice(5)))
      if (kinds.has(kind)) { const box = small(); box.append(draw("rect", { x: 1, y: 1, width: 12, height: 12, class: `k-${kind}` })); told.push(make("span", {}, box, texts["kind_" + kind])); }
    if (line.incidents.length) { const box = small(); box.append(draw("rect", { x: 1, y: 5, width: 12, height: 4, class: "incident" })); told.push(make("span", {}, box, texts.incident)); }
    for (const event of Object.keys(SHAPES))
      if (events.has(event)) { const box = small(); box.append(shape(event, 7, 7)); told.push(make("span", {}, box, texts["mark_" + event])); }
    return make("div", { class: "key" }, ...told);
  }
  function showTimeline(line, services) {
    showTimeline.last = [line, services];
    const spans = new Map(line.services.map((one) => [one.name, one.spans]));
    const names = [...new Set([...services, ...spans.keys(), ...line.incidents.map((one) => one.service || "host")])];
    const box = byId("timeline"), wide = box.clientWidth || 800, beside = wide > 600 ? 144 : 0, width = wide - beside, span = line.until - line.since;
    const rows = names.map((name) => make("div", { class: "line" }, make("div", { class: "name" }, apart(name)), drawRow(line, name, spans.get(name) || [], width)));
    const axis = draw("svg", { width, height: 34, class: "ticks", "aria-hidden": "true" }), parts = width > 500 ? 4 : 2;
    const ats = Array.from({ length: parts + 1 }, (_, part) => line.since + (span * part) / parts);
    ticks(ats, span > 172800 ? 86400 : 60).forEach((said, part) => said.split("\n").forEach((words, row) =>
      axis.append(draw("text", { x: (width * part) / parts, y: 13 + 15 * row, "text-anchor": part === 0 ? "start" : part === parts ? "end" : "middle" }, words))));
    fill("timeline", [...rows, make("div", { class: "line" }, make("div", {}), axis), drawKey(line)]);
    fill("marks", line.marks.length ? line.marks.slice(-200).reverse().map((m) => make("li", {}, `${moment(m.at)} `, apart(`${m.service || "host"}: ${m.reason}`)))
      : [make("li", {}, texts.none)]);
  }
  function showIncidents(stories) {
    fill("incidents", stories.length ? stories.reverse().slice(0, 100).map((story) => make("li", {},
      make("a", { href: `/incidents/${story.id}${location.search}` }, `${story.id} · `, apart(story.services.map((s) => s || "host").join(", "))),
      ` ${momentOf(story.opened_at)} – `, apart(story.reason), ` (${story.closed_at ? texts.over : texts.open}, ${story.minutes} min)`))
      : [make("li", {}, texts.none)]);
  }

  // ---------------------------------------------------------------- trends
  let plot = null;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function drawTrend(box, trend, height = 260, range = undefined) {
    const say = (value) => measure(trend.metric, value);
    const series = [{ label: texts.time, value: (_, at) => (at === null ? "–" : moment(at)) }, { label: texts.mean, stroke: colour("--link"), width: 1.5, value: (_, v) => say(v) },
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
    const under = { ...axis, values: (_, ats, __, ___, step) => ticks(ats, step) };
    return new uPlot({ width: box.clientWidth || 600, height, series, bands, scales: { x: { range: range && (() => range) } },
      axes: [under, { ...axis, size: 86, values: (_, values) => values.map(say) }], cursor: { y: false } }, rows, box);
  }
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
    plot = drawTrend(byId("chart"), trend);
    const last = trend.last[trend.last.length - 1];
    byId("chart-text").textContent = `${texts.least} ${say(Math.min(...trend.least))} · ${texts.most} ${say(Math.max(...trend.most))} · ${moment(trend.at[trend.at.length - 1])}: ${say(last)} · ${texts.samples.replace("{count}", trend.count)}`;
    fill("quantiles", Object.entries(trend.quantiles).map(([share, value]) => make("tr", {}, make("th", { scope: "row" }, `${share * 100} %`), make("td", {}, say(value)))));
    showBars(trend.bars, say);
  }
  function showBars(bars, say) {
    const width = byId("bars").clientWidth || 600, height = 150, most = Math.max(...bars.map((bar) => bar[2]));
    const svg = draw("svg", { width, height: height + 20, viewBox: `0 0 ${width} ${height + 20}` });
    bars.forEach(([low, high, count], place) => {
      const tall = (height * count) / most;
      const bar = draw("rect", { x: (place * width) / bars.length, y: height - tall, width: width / bars.length - 1, height: tall, class: "bar" });
      bar.append(draw("title", {}, `${say(low)} – ${say(high)}: ${count}`));
      svg.append(bar);
    });
    svg.append(draw("text", { x: 0, y: height + 16 }, say(bars[0][0])), draw("text", { x: width, y: height + 16, "text-anchor": "end" }, say(bars[bars.length - 1][1])));
    fill("bars", [svg]);
  }

  // ---------------------------------------------------------------- an incident
  const nameSeries = (one) => `${one.metric} ${Object.entries(one.labels).filter(([name]) => name !== "uuid").map(([name, value]) => `${name}=${value}`).join(" ")}`;
  async function showIncident({ since, until, services, metrics }) {
    for (const one of document.querySelectorAll("time")) one.textContent = momentOf(one.dateTime);
    const found = (await ask("/api/v1/series")).filter((one) => services.includes(one.labels.service || null) && metrics.includes(one.metric));
    found.sort((a, b) => metrics.indexOf(a.metric) - metrics.indexOf(b.metric));
    const drawn = [];
    for (const one of found.slice(0, 8)) {
      const asked = new URLSearchParams({ metric: one.metric, labels: JSON.stringify(one.labels), from: since, until });
      const trend = await ask(`/api/v1/trend?${asked}`);
      if (!trend.at.length) continue;
      const box = make("div", { class: "chart", role: "img", "aria-label": nameSeries(one) });
      byId("trends").append(make("figure", {}, make("figcaption", {}, apart(nameSeries(one))), box));
      drawn.push([drawTrend(box, trend, 180, [since, until]), box]);
    }
    if (!drawn.length) byId("trends").replaceChildren(make("p", { class: "quiet" }, texts.no_data));
    addEventListener("resize", () => drawn.forEach(([one, box]) => one.setSize({ width: box.clientWidth, height: 180 })));
  }
  sayZone();
  if (byId("incident")) {
    showIncident(read("incident")).catch((error) => { byId("trends").textContent = String(error.message || error); });
    return;
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
        nameSeries(one))));
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
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => { if (plot) plot.setSize({ width: byId("chart").clientWidth, height: 260 }); if (showTimeline.last) showTimeline(...showTimeline.last); }, 150); });
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
  const oldest = read("oldest") ?? Date.parse(first.daemon && first.daemon.started_at) / 1000, known = Date.now() / 1000 - oldest;
  if (known < SPANS["15m"]) byId("span").value = known < SPANS["5m"] ? "5m" : "15m"; // in a day so little could not be seen
  take(first);
  follow();
})();
