// The page of operators.

// Clients on one page.
const PAGE = 20;
const SORTS = [...$("sort").options].map((option) => option.value);
const OWN = ["offset", "limit", "sort", "search"];

// What of the clients is looked at. The address says it, so that a link leads there.
const view = (() => {
  const given = new URLSearchParams(location.search);
  const offset = Number(given.get("offset"));
  return {
    search: (given.get("search") || "").slice(0, 256),
    sort: SORTS.includes(given.get("sort")) ? given.get("sort") : SORTS[0],
    offset: Number.isSafeInteger(offset) && offset > 0 ? offset : 0,
  };
})();

function parameters() {
  const all = new URLSearchParams(location.search);
  OWN.forEach((key) => all.delete(key));
  all.set("limit", PAGE);
  if (view.search) all.set("search", view.search);
  if (view.sort !== SORTS[0]) all.set("sort", view.sort);
  if (view.offset) all.set("offset", view.offset);
  return all;
}

function problems(data) {
  const found = [];
  const add = (level, ...text) => found.push({ level, text });
  for (const set of [...data.keys, ...data.guard_files]) {
    const files = set.paths.join(", ");
    if (set.failure) add("bad", files, ` could not be taken: ${set.failure.error}`);
    if (set.refused_count) add("warn", files, `: ${plural(set.refused_count, "entry is", "entries are")} refused`);
    if (set.workers_on_it < set.workers) {
      add("warn", files, ` is in force in ${set.workers_on_it} of ${set.workers} workers`);
    }
  }
  for (const part of data.zone) {
    if (part.full) add("bad", `zone, ${part.part}`, `: no room ${plural(part.full, "time", "times")}`);
    else if (part.slots && part.used / part.slots >= 0.9) {
      add("warn", `zone, ${part.part}`, ` is ${percent(part.used / part.slots)} full`);
    }
  }
  if (data.cluster && !data.cluster.up) {
    add("bad", `cluster ${data.cluster.name}`, ": the store can't be reached; the error log says why");
  }
  if (data.audit.lost) add("bad", "audit log", `: ${plural(data.audit.lost, "line was", "lines were")} lost`);
  if (data.state.error) add("warn", "state", ` could not be written ${plural(data.state.error, "time", "times")}`);
  if (data.panics) add("bad", "panics", `: ${number(data.panics)}; please report them`);
  const last = data.minutes.slice(-5);
  const sum = (key) => last.reduce((total, minute) => total + minute[key], 0);
  const [requests, errors] = [sum("requests"), sum("errors")];
  if (errors && errors / requests >= 0.01) {
    add("bad", "engine", `: ${percent(errors / requests)} of the requests of the last 5 minutes failed`);
  }
  if (data.queued) add("warn", "queue", `: ${plural(data.queued, "request waits", "requests wait")}`);
  return found;
}

function chart(title, minutes, series, format) {
  const total = (minute) => series.reduce((sum, [, , value]) => sum + (value(minute) || 0), 0);
  const top = Math.max(...minutes.map(total), 0);
  const step = 10;
  const bars = minutes.flatMap((minute, index) => {
    let y = 100;
    const parts = series.map(([kind, , value]) => {
      const height = top ? ((value(minute) || 0) / top) * 96 : 0;
      y -= height;
      return svg("rect", { class: kind, x: index * step + 1, y, width: step - 2, height });
    });
    const words = series.map(([, word, value]) => `${word} ${format(value(minute))}`).join(", ");
    return [svg("g", {}, svg("title", {}, `${clock.format(new Date(minute.at))}: ${words}`), ...parts)];
  });
  const sums = series.map(([, word, value]) => {
    const values = minutes.map(value).filter((one) => one !== undefined);
    return `${word} ${values.length ? `${format(Math.min(...values))} to ${format(Math.max(...values))}` : "none"}`;
  });
  const picture = svg("svg", {
    viewBox: `0 0 ${minutes.length * step} 100`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${title} in each minute of the last hour: ${sums.join("; ")}`,
  }, ...bars);
  const keys = series.map(([kind, word]) => el("span", { class: `key ${kind}` }, word));
  return el("figure", {},
    el("figcaption", {}, el("strong", {}, title), el("span", {}, ...keys.flatMap((key) => [key, " "]))),
    picture,
    el("p", { class: "axis" }, time(minutes[0].at, clock), el("span", {}, `highest ${format(top)}`), "now"));
}

function charts(minutes, hasGuards) {
  const found = (kind) => (minute) => (minute.found ? minute.found[kind] : 0);
  return [
    chart("Requests", minutes, [
      ["passed", "let in", (minute) => Math.max(minute.requests - minute.refused - minute.errors, 0)],
      ["refused", "refused", (minute) => minute.refused],
      ["failed", "failed", (minute) => minute.errors],
    ], number),
    chart("Tokens", minutes, [
      ["input", "input", (minute) => minute.input],
      ["output", "output", (minute) => minute.output],
    ], number),
    chart("Time to first token", minutes, [["output", "mean", (minute) => minute.ttft_ms]], milliseconds),
    ...(hasGuards ? [chart("Findings of guards", minutes, [
      ["passed", "logged", found("log")],
      ["refused", "masked", found("mask")],
      ["failed", "blocked", found("block")],
    ], number)] : []),
  ];
}

const minuteColumns = [
  ["Minute", (row) => time(row.at, clock)],
  ["Requests", (row) => number(row.requests), true],
  ["Refused", (row) => number(row.refused), true],
  ["Failed", (row) => number(row.errors), true],
  ["Input tokens", (row) => number(row.input), true],
  ["Output tokens", (row) => number(row.output), true],
  ["Cost", (row) => money(row.cost), true],
  ["First token", (row) => milliseconds(row.ttft_ms), true],
];

const guardColumns = [["Logged", "log"], ["Masked", "mask"], ["Blocked", "block"]].map(([title, kind]) =>
  [`${title} by guards`, (row) => number(row.found ? row.found[kind] : 0), true]);

const modelColumns = [
  ["Model", (row) => (row.model ? name(row.model) : el("span", { class: "quiet" }, "none named"))],
  ["Recent requests", (row) => number(row.recent), true],
  ["First token, median", (row) => milliseconds(row.ttft_p50_ms), true],
  ["95 of 100", (row) => milliseconds(row.ttft_p95_ms), true],
  ["Tokens a second", (row) => number(row.tokens_per_second_per_request), true],
  ["All requests", (row) => number(row.requests), true],
  ["Input tokens", (row) => number(row.input_tokens), true],
  ["Output tokens", (row) => number(row.output_tokens), true],
  ["Cost", (row) => money(row.cost), true],
];

const clientColumns = (now) => [
  ["Client", (row) => name(row.client)],
  ["Tier", (row) => (row.tier ? name(row.tier) : "–")],
  ["Last seen", (row) => (row.last_seen ? ago(row.last_seen, now) : "–"), true],
  ["Requests", (row) => number(row.requests), true],
  ["Refused", (row) => number(row.refused), true],
  ["Tokens", (row) => number(row.input_tokens + row.output_tokens), true],
  ["Cost", (row) => money(row.cost), true],
  ["In flight", (row) => number(row.in_flight), true],
  ["Limits", (row) => limits(row)],
];

const KINDS = { api_keys: "API keys", jwt_keys: "keys of tokens", guard_rules: "rules of guards", guard_terms: "terms of guards" };

function keySet(set, now) {
  const kind = KINDS[set.kind] || set.kind;
  const level = set.workers_on_it < set.workers ? "warn" : "good";
  const list = (title, texts, level) => texts.length ? [el("details", { open: "" },
    el("summary", { class: level }, title), el("ul", {}, ...texts.map((text) => el("li", {}, name(text)))))] : [];
  return el("div", { class: "set" },
    el("h3", {}, ...set.paths.flatMap((path, index) => [index ? ", " : "", name(path)])),
    set.generation === undefined
      ? el("p", {}, `${kind}; being written just now`)
      : el("p", {}, set.keys === undefined ? "" : `${plural(set.keys, "entry", "entries")} of ${kind}`,
        set.entries === undefined ? "" : `${number(set.entries)} ${kind}`,
        ...(set.version ? [", version ", name(set.version)] : []), ...(set.sha256 ? [", SHA-256 ", el("code", {}, set.sha256)] : []),
        `; generation ${set.generation}, since `, ago(set.since, now)),
    el("p", { class: level }, `in force in ${set.workers_on_it} of ${set.workers} workers`),
    set.failure && el("p", { class: "bad" }, "What the files hold now was not taken: ", name(set.failure.error), ", ",
      ago(set.failure.at, now)),
    ...list(`${plural(set.refused_count, "entry is", "entries are")} refused`, set.refused, "bad"),
    ...list(plural(set.warnings.length, "warning", "warnings"), set.warnings, "warn"));
}

// What a guard looks for: a line each.
function guardView(guard) {
  const looks = (direction, all) => all.map((look) => el("li", {}, `${direction} `, name(look.what),
    look.rules > 1 ? ` (${plural(look.rules, "rule", "rules")})` : "", ` ${look.action}`,
    ...(look.version ? [el("span", { class: "quiet" }, ", rules of ", name(look.version))] : [])));
  return el("div", { class: "set" },
    el("h3", {}, name(guard.guard)),
    el("ul", {}, ...looks("input", guard.input), ...looks("output", guard.output)),
    el("p", { class: "quiet" }, "used ", ...guard.places.flatMap((place, index) => [index ? "; " : "", name(place)])));
}

function renderGuards(data, window) {
  $("guards-section").hidden = !data.guards.length && !data.findings.length && !data.guard_files.length;
  show("guards", data.guards, (guards) => guards.map(guardView));
  show("guard-files", data.guard_files, (sets) => sets.map((set) => keySet(set, data.now)));
  show("findings", [data.findings, window], () => data.findings.length
    ? table(`What was found${data.more_findings ? `; ${plural(data.more_findings, "more rule", "more rules")} not shown` : ""}`, [
      ["Rule", (row) => name(row.rule)],
      ["Guard", (row) => name(row.guard)],
      ["Action", (row) => row.action],
      [window, (row) => number(row.recent), true],
      ["All", (row) => number(row.count), true],
    ], data.findings) : el("p", { class: "quiet" }, "Guards found nothing."));
}

function render(data) {
  const window = `last ${duration(Math.max(data.window_seconds, 1))}`;
  const hour = data.minutes.reduce((sum, minute) => sum + minute.refused, 0);
  show("server", [data.version, data.nginx, data.workers, data.since], () => [
    `version ${data.version}, nginx ${data.nginx}, ${plural(data.workers, "worker", "workers")}`,
    ...(data.since ? [", configured ", time(data.since, day)] : [])]);
  const found = problems(data);
  show("problems", found, () => found.length
    ? found.map(({ level, text }) => el("li", { class: level }, name(text[0]), ...text.slice(1)))
    : [el("li", { class: "good" }, "Nothing that can be seen from here")]);
  tiles("tiles", [
    ["Requests a second", number(data.requests_per_second)],
    ["Tokens a second", number(data.tokens_per_second)],
    ["In flight", number(data.in_flight)],
    ["In the queue", number(data.queued), data.queued ? "warn" : ""],
    ["Refused, last hour", number(hour)],
  ]);
  show("tiers", data.tiers, (tiers) => tiers.length ? table("", [
    ["Tier", (row) => (row.tier ? name(row.tier) : el("span", { class: "quiet" }, "none"))],
    ["In flight", (row) => number(row.in_flight), true],
    ["In the queue", (row) => number(row.queued), true],
  ], tiers) : el("p", { class: "quiet" }, "No requests yet."));
  const hasGuards = data.guards.length > 0 || data.findings.length > 0;
  show("charts", [data.minutes, hasGuards], ([minutes]) => charts(minutes, hasGuards));
  if ($("minutes").open) {
    show("minutes-table", [data.minutes, hasGuards], ([minutes]) => table("The latest minute first",
      [...minuteColumns, ...(hasGuards ? guardColumns : [])], [...minutes].reverse()));
  }
  show("refusals", [data.refusals, window], () => data.refusals.length ? table("", [
    ["Reason", (row) => el("code", {}, row.reason)],
    [window, (row) => number(row.recent), true],
    ["All", (row) => number(row.count), true],
  ], data.refusals) : el("p", { class: "quiet" }, "No request was refused."));
  show("models", [data.models, window], () => data.models.length
    ? table(`Recent, first token and tokens a second: ${window}${
      data.more_models ? `; ${plural(data.more_models, "more model", "more models")} not shown` : ""}`,
    modelColumns, data.models, "cards")
    : el("p", { class: "quiet" }, "No requests yet."));
  renderGuards(data, window);
  renderClients(data);
  show("keys", data.keys, (sets) => sets.length
    ? sets.map((set) => keySet(set, data.now)) : el("p", { class: "quiet" }, "No files with keys are followed."));
  show("providers", data.providers, (providers) => providers.length ? table("Identity providers", [
    ["Location", (row) => name(row.provider)],
    ["Answers", (row) => number(row.ok), true],
    ["Errors", (row) => number(row.error), true],
    ["Timeouts", (row) => number(row.timeout), true],
  ], providers) : el("p", { class: "quiet" }, "No identity provider was asked."));
  show("zone", data.zone, (parts) => parts.length ? table("Slots of the zone", [
    ["Part", (row) => row.part],
    ["Used", (row) => number(row.used), true],
    ["Of", (row) => number(row.slots), true],
    ["No room", (row) => number(row.full), true],
  ], parts) : []);
  $("cluster").hidden = !data.cluster;
  show("cluster", data.cluster || null, (cluster) => cluster ? table(`Cluster ${cluster.name}, node ${cluster.node}`, [
    ["Store", (row) => row.up ? "reached" : "lost"],
    ["Leases", (row) => number(row.leases), true],
    ["Of", (row) => number(row.places), true],
    ["Waits", (row) => number(row.waits), true],
    ["Judged alone", (row) => number(row.alone), true],
    ["Seconds lost", (row) => number(row.lost_seconds), true],
  ], [cluster]) : []);
  tiles("writes", [
    ["Audit lines written", number(data.audit.written)],
    ["Audit lines lost", number(data.audit.lost), data.audit.lost ? "bad" : ""],
    ["State written", number(data.state.ok)],
    ["State not written", number(data.state.error), data.state.error ? "warn" : ""],
    ["Panics", number(data.panics), data.panics ? "bad" : ""],
  ]);
}

function renderClients(data) {
  const list = data.clients;
  $("clients-section").hidden = !list;
  if (!list) return;
  const { clients, total, offset, limit } = list;
  show("clients", list, () => clients.length
    ? table(`${plural(total, "client", "clients")}${view.search ? " with that in the name" : ""}`,
      clientColumns(data.now), clients, "cards clients")
    : el("p", { class: "quiet" }, view.search ? "No client has that in its name." : "No client has come yet."));
  $("range").textContent = clients.length
    ? `${number(offset + 1)} to ${number(offset + clients.length)} of ${number(total)}` : "";
  $("previous").disabled = offset === 0;
  $("next").disabled = offset + limit >= total;
}

const poll = new Poll(parameters, render);

function look(change) {
  Object.assign(view, change);
  const all = parameters();
  all.delete("limit");
  const query = String(all);
  history.replaceState(null, "", location.pathname + (query && `?${query}`));
  poll.ask();
}

$("search").value = view.search;
$("sort").value = view.sort;
let typing;
$("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => look({ search: $("search").value, offset: 0 }), 250);
});
$("sort").addEventListener("change", () => look({ sort: $("sort").value, offset: 0 }));
$("find").addEventListener("submit", (event) => event.preventDefault());
$("previous").addEventListener("click", () => look({ offset: Math.max(view.offset - PAGE, 0) }));
$("next").addEventListener("click", () => look({ offset: view.offset + PAGE }));
$("minutes").addEventListener("toggle", () => poll.ask());
