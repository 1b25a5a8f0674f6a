"use strict";
// What both pages have: elements made of data, numbers as text, and the way to the server. Whatever comes from there
// becomes text, and never markup.

const $ = (id) => document.getElementById(id);

// Elements by their tag, attributes and children: texts, elements, or nothing.
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== ""));
  return element;
}

// Characters that can't be seen, or that turn others around.
const UNSEEN = /([\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}])/u;
const codePoint = (text) => `U+${text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

// A name that somebody else has chosen: it may run from right to left, and must not turn what stands beside it. What
// of it can't be seen is shown by its number.
function name(text) {
  const parts = String(text).split(UNSEEN);
  return el("bdi", {}, ...parts.map((part, index) => (index % 2 ? el("code", { class: "unseen" }, codePoint(part)) : part)));
}

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const number = (value) =>
  value === undefined || value === null ? "–" : Math.abs(value) < 100000 ? exact.format(value) : compact.format(value);
const percent = (ratio) => `${Math.round(ratio * 100)}%`;

// Money comes as a decimal number in a text, which is exact.
function money(text) {
  const [whole, decimals = ""] = String(text).split(".");
  const short = decimals.slice(0, 4);
  const grouped = exact.format(BigInt(whole));
  if (!short) return grouped;
  return whole === "0" && !/[1-9]/.test(short) ? "<0.0001" : `${grouped}.${short}`;
}

function duration(seconds) {
  if (seconds < 1) return `${Math.max(Math.round(seconds * 1000), 0)} ms`;
  if (seconds < 60) return `${exact.format(Math.round(seconds * 10) / 10)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const milliseconds = (ms) => (ms === undefined ? "–" : duration(ms / 1000));
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const time = (text, format) => el("time", { datetime: text, title: text }, format.format(new Date(text)));
const ago = (text, now) => {
  const seconds = Math.max((new Date(now) - new Date(text)) / 1000, 0);
  return el("time", { datetime: text, title: text }, seconds < 1 ? "now" : `${duration(Math.floor(seconds))} ago`);
};

// A column is its title, what a row has in it, and whether that is a number.
function table(caption, columns, rows, kind) {
  const label = (title, value) => (kind && kind.includes("cards") ? title : undefined);
  const head = columns.map(([title, , isNumber]) =>
    el("th", { scope: "col", role: "columnheader", class: isNumber && "number" }, title));
  const body = rows.map((row) =>
    el("tr", { role: "row" }, ...columns.map(([title, cell, isNumber], index) =>
      index === 0
        ? el("th", { scope: "row", role: "rowheader" }, cell(row))
        : el("td", { role: "cell", class: isNumber && "number", "data-label": label(title) }, cell(row)))));
  return el("table", { role: "table", class: kind },
    caption && el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
    el("tbody", { role: "rowgroup" }, ...body));
}

// What was shown last, by the id of its place.
const shown = new Map();

// Shows `data` at a place, unless it is there already, or somebody has marked text in it to copy it.
function show(id, data, make) {
  const place = $(id);
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && place.contains(selection.anchorNode)) return;
  shown.set(id, text);
  const made = make(data);
  place.replaceChildren(...(Array.isArray(made) ? made : [made]));
}

function tiles(id, facts) {
  show(id, facts, () => facts.map(([title, value, level]) =>
    el("div", { class: level }, el("dt", {}, title), el("dd", {}, value))));
}

// The limits of a client, as bars.
function limits(client) {
  const items = (client.limits || []).map((limit) => {
    const isMoney = limit.dimension === "budget";
    const amount = isMoney ? money : number;
    const level = limit.used_ratio >= 1 ? "bad" : limit.used_ratio >= 0.8 ? "warn" : "";
    const left = `${amount(limit.left)} of ${amount(limit.quota)} left`;
    const reset = limit.reset_seconds > 0
      ? `${isMoney ? "new period" : "full again"} in ${duration(limit.reset_seconds)}` : "";
    const bar = el("div", {
      class: `bar ${level}`, role: "meter", "aria-label": `${limit.name}: used`, "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-valuenow": Math.min(Math.round(limit.used_ratio * 100), 100), "aria-valuetext": left,
    }, el("span", {}));
    bar.firstChild.style.setProperty("--part", `${Math.min(Math.max(limit.used_ratio, 0), 1) * 100}%`);
    return el("li", {},
      el("div", { class: "limit" }, name(limit.name), el("span", { class: level }, `${percent(limit.used_ratio)} used`)), bar,
      el("div", { class: "limit quiet" }, left, el("span", {}, reset)));
  });
  return items.length ? el("ul", { class: "limits" }, ...items) : el("span", { class: "quiet" }, "no limits");
}

// What carries a key or token to the server; empty: it takes none from this page.
const HEADER = document.body.dataset.header;

const POLL_MS = 2000;
const PATIENCE_MS = 10000;
const LONGEST_PAUSE_MS = 30000;

// Asks the server again and again, and says how that goes.
class Poll {
  constructor(parameters, render) {
    Object.assign(this, { parameters, render, failures: 0, isPaused: false, key: "", turn: 0, state: "" });
    $("pause").addEventListener("click", () => this.pause(!this.isPaused));
    document.addEventListener("visibilitychange", () => document.hidden || this.isPaused || this.ask());
    $("credential").addEventListener("submit", (event) => {
      event.preventDefault();
      this.key = $("key").value.trim();
      $("key").value = "";
      this.ask();
    });
    this.ask();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    $("pause").setAttribute("aria-pressed", isPaused);
    if (!isPaused) return this.ask();
    clearTimeout(this.timer);
    this.say("Paused");
  }

  // Announces what has changed, and not each answer.
  say(text, isBad) {
    if (this.state === text) return;
    this.state = text;
    $("live").textContent = text;
    $("live").classList.toggle("bad", Boolean(isBad));
  }

  async ask() {
    clearTimeout(this.timer);
    const turn = ++this.turn;
    this.request?.abort();
    this.request = new AbortController();
    const patience = setTimeout(() => this.request.abort(), PATIENCE_MS);
    let result;
    try {
      result = await this.answer(this.request.signal);
    } catch {
      result = { error: "No answer from the server" };
    }
    clearTimeout(patience);
    // Somebody has asked for something else meanwhile.
    if (turn !== this.turn) return;
    this.take(result);
  }

  async answer(signal) {
    const headers = { Accept: "application/json" };
    if (this.key) headers[HEADER] = HEADER.toLowerCase() === "authorization" ? `Bearer ${this.key}` : this.key;
    const query = String(this.parameters());
    const response = await fetch(location.pathname + (query && `?${query}`), {
      headers, signal, cache: "no-store", redirect: "error",
    });
    if (response.status === 401 && HEADER) return { isLocked: true };
    if (!response.ok) return { error: `The server answers with status ${response.status}` };
    return { data: await response.json() };
  }

  take({ data, error, isLocked }) {
    if (isLocked) return this.lock();
    const isFirst = $("content").hidden;
    this.failures = error ? this.failures + 1 : 0;
    $("content").classList.toggle("stale", Boolean(error));
    if (error) {
      this.since ??= new Date();
      this.say(`${error}${isFirst ? "" : `; what is shown is of ${clock.format(this.since)}`}. Trying again.`, true);
    } else {
      this.since = new Date();
      $("credential").hidden = true;
      $("content").hidden = false;
      this.render(data);
      this.say(this.isPaused ? "Paused" : "Live");
    }
    if (this.isPaused || document.hidden) return;
    const pause = error ? Math.min(POLL_MS * 2 ** this.failures, LONGEST_PAUSE_MS) : POLL_MS;
    this.timer = setTimeout(() => this.ask(), pause);
  }

  lock() {
    const wasRefused = this.key !== "";
    this.key = "";
    $("content").hidden = true;
    $("credential").hidden = false;
    $("refused").textContent = wasRefused ? "The server doesn't take this key." : "";
    this.say("Waiting for a key");
    $("key").focus();
  }
}
