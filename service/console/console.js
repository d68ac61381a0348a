"use strict";

const PARTS = ["slow_wide", "slow_deep", "fast_wide", "fast_deep"];
const titles = new Map();
let shown = { user: null, ranks: new Map(), requestId: null };
let before = null;

async function titleOf(id) {
  if (!titles.has(id)) {
    const item = await call("GET", `/items/${encodeURIComponent(id)}`).catch(() => null);
    titles.set(id, (item && item.attributes.title) || id);
  }
  return titles.get(id);
}

function fail(where) {
  return (error) => { byId(where).textContent = error.message; byId(where).className = "bad"; };
}

function bar(item) {
  const lifts = PARTS.map((part) => [part, Math.max(item[part], 0)]);
  const all = lifts.reduce((sum, [, lift]) => sum + lift, 0) || 1;
  const strip = element("div", { class: "bar" });
  for (const [part, lift] of lifts) {
    const piece = element("i", { class: part, title: `${part} ${item[part].toFixed(3)}` });
    piece.style.width = `${(100 * lift) / all}%`;
    strip.append(piece);
  }
  const why = item.because.slice(0, 2).map((cause) => cause.text).join("; ");
  return element("td", {}, strip, element("div", { class: "soft" }, why));
}

function moved(id, rank) {
  if (shown.user !== byId("user").value || !shown.ranks.size) return null;
  const old = shown.ranks.get(id);
  if (old === undefined) return element("span", { class: "moved good" }, " new");
  if (old === rank) return null;
  return old > rank
    ? element("span", { class: "moved good" }, ` ▲${old - rank}`)
    : element("span", { class: "moved bad" }, ` ▼${rank - old}`);
}

function thumbs(id) {
  const say = (type) => async () => {
    const event = { event_type: type, item_id: id, user_id: byId("user").value, request_id: shown.requestId };
    await call("POST", "/events", event).then(recommend).catch(fail("told"));
  };
  return element("td", { class: "thumbs" },
    element("button", { onclick: say("like"), title: "like" }, "+"), " ",
    element("button", { onclick: say("dislike"), title: "dislike" }, "−"));
}

async function recommend() {
  const user = byId("user").value;
  const asked = { n: Number(byId("n").value), explain: "brief" };
  if (user) asked.user_id = user;
  const reply = await call("POST", "/recommend", asked);
  const names = await Promise.all(reply.items.map((item) => titleOf(item.item_id)));
  const rows = reply.items.map((item, place) => element("tr", {},
    element("td", { class: "number" }, item.rank),
    element("td", {}, names[place], moved(item.item_id, item.rank),
      element("div", { class: "soft" }, `${item.item_id} · ${item.source}`)),
    bar(item),
    element("td", { class: "number" }, item.probability === null ? "" : `${Math.round(100 * item.probability)} %`),
    thumbs(item.item_id)));
  byId("list").replaceChildren(...rows);
  byId("told").className = "soft";
  byId("told").textContent = `${reply.took_ms} ms, memory as of ${reply.memory_as_of.toLocaleString()}`
    + (reply.fallback ? `, fallback: ${reply.fallback}` : "");
  shown = { user, requestId: reply.request_id, ranks: new Map(reply.items.map((item) => [item.item_id, item.rank])) };
  await remembered(user);
}

async function remembered(user) {
  byId("whom").textContent = user || "nobody";
  const memory = user ? await call("GET", `/users/${encodeURIComponent(user)}/memory`) : { exemplars: [] };
  const newest = memory.exemplars.slice(0, 12);
  const names = await Promise.all(newest.map((exemplar) => titleOf(exemplar.item_id)));
  const rows = newest.map((exemplar, place) => element("tr", {},
    element("td", {}, names[place]),
    element("td", { class: exemplar.outcome === "success" ? "good" : exemplar.outcome === "failure" ? "bad" : "soft" }, exemplar.event_type),
    element("td", { class: "soft number" }, age(exemplar.age_s))));
  byId("memory").replaceChildren(...(rows.length ? rows : [element("tr", {}, element("td", { class: "soft" }, "nothing yet"))]));
}

function age(seconds) {
  for (const [size, name] of [[31536000, "y"], [86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${name}`;
  }
  return `${Math.floor(seconds)} s`;
}

async function popular() {
  const reply = await call("GET", `/popular?n=8&window=${byId("window").value}`);
  const names = await Promise.all(reply.items.map((item) => titleOf(item.item_id)));
  byId("popular").replaceChildren(...reply.items.map((item, place) => element("tr", {},
    element("td", {}, names[place]),
    element("td", { class: "number soft" }, item.score >= 0.005 ? item.score.toFixed(2) : "–"))));
}

async function models() {
  const found = await call("GET", "/models");
  const all = [...found.versions, ...found.candidates].reverse().slice(0, 8);
  const reports = await Promise.all(all.map((each) => call("GET", `/models/${each.version}/report`)));
  byId("models").replaceChildren(...all.map((each, place) => element("tr", {},
    element("td", { class: "mono" }, each.version, each.version === found.serving ? element("b", { class: "good" }, " serves") : null),
    element("td", {}, each.kind),
    element("td", { class: "soft" }, each.created_at.slice(0, 16).replace("T", " ")),
    element("td", {}, ...verdicts(reports[place])))));
}

function verdicts(report) {
  if (!report.verdicts.length) return [element("span", { class: "soft" }, "none: a first one")];
  return report.verdicts.flatMap((verdict) => [
    element("span", { class: verdict.passed ? "good" : "bad", title: verdict.reason }, `${verdict.passed ? "✓" : "✗"} ${verdict.name}`), " "]);
}

async function night(dryRun) {
  let job = await call("POST", "/admin/consolidate", { dry_run: dryRun });
  byId("job").className = "soft";
  while (["queued", "running"].includes(job.status)) {
    byId("job").textContent = `${job.kind}: ${job.status}…`;
    await new Promise((done) => setTimeout(done, 1000));
    job = await call("GET", `/admin/jobs/${job.job_id}`);
  }
  byId("job").textContent = `${job.kind}: ${job.status}${job.message ? ` (${job.message})` : ""}`;
  await models();
}

async function back() {
  const done = await call("POST", "/admin/rollback", {});
  byId("job").className = "soft";
  byId("job").textContent = `${done.current} serves in place of ${done.before}`;
  setTimeout(() => models().catch(fail("job")), 1500);
}

function numbers(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^(\w+)(\{.*\})? (\S+)$/.exec(line);
    if (match) found.set(match[1], (found.get(match[1]) || 0) + Number(match[3]));
  }
  return found;
}

function tile(name, value) {
  return element("div", { class: "tile" }, element("span", { class: "soft" }, name), element("b", {}, value));
}

async function tiles() {
  const ready = await call("GET", "/health/ready");
  byId("state").textContent = `${ready.model_version} serves`;
  byId("state").className = "good";
  const now = { at: performance.now(), of: numbers(await call("GET", "/metrics")) };
  const of = (name) => now.of.get(`slowwave_${name}`) || 0;
  const since = (name) => of(name) - ((before && before.of.get(`slowwave_${name}`)) || 0);
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const rate = (name) => (seconds ? `${Math.max(since(name) / seconds, 0).toFixed(1)}/s` : "…");
  const mean = since("http_request_seconds_count") ? 1000 * since("http_request_seconds_sum") / since("http_request_seconds_count") : 0;
  byId("tiles").replaceChildren(
    tile("Memory as of", of("memory_as_of").toLocaleString()),
    tile("Log entries behind", of("log_lag_entries").toLocaleString()),
    tile("Requests", rate("http_requests_total")),
    tile("Mean answer", `${mean.toFixed(1)} ms`),
    tile("Events", rate("events_total")),
    tile("In RAM", `${Math.round(of("resident_bytes") / 1048576)} MiB`));
  before = now;
}

function start() {
  tiles().catch(fail("state"));
  models().catch(fail("job"));
  popular().catch(() => byId("popular").replaceChildren());
  recommend().catch(fail("told"));
}

document.addEventListener("DOMContentLoaded", () => {
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); recommend().catch(fail("told")); });
  byId("window").addEventListener("change", () => popular().catch(fail("told")));
  byId("night").addEventListener("click", () => night(false).catch(fail("job")));
  byId("dry").addEventListener("click", () => night(true).catch(fail("job")));
  byId("back").addEventListener("click", () => back().catch(fail("job")));
  document.addEventListener("key", start);
  setInterval(() => tiles().catch(fail("state")), 3000);
  start();
});
