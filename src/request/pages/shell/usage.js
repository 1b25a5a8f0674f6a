// The page of a client, about itself.

function models(data) {
  const lists = Object.values(data.models || {});
  if (!lists.length) return ["all"];
  return lists.flatMap((list, index) => [
    index ? ", of these " : "",
    ...(list.length ? list.flatMap((one, place) => [place ? ", " : "", name(one)]) : ["none"]),
  ]);
}

function render(data) {
  show("server", [data.client, data.tier, data.tenant], () => [
    name(data.client), ...(data.tier ? [", tier ", name(data.tier)] : []),
    ...(data.tenant ? [", tenant ", name(data.tenant)] : [])]);
  tiles("tiles", [
    ["Requests", number(data.requests)],
    ["Refused", number(data.refused)],
    ["Input tokens", number(data.input_tokens)],
    ["Output tokens", number(data.output_tokens)],
    ["Cost", money(data.cost)],
    ["In flight", number(data.in_flight)],
    ...data.spend.map((spend) => [`Spent this ${spend.period}`, money(spend.cost)]),
  ]);
  show("since", data.since, () => ["Counted since ", time(data.since, day)]);
  show("limits", data.limits, () => limits(data));
  const { key_id: id, expires } = data.credential;
  const facts = [
    ["Models", models(data)],
    ["Scopes", [data.scopes.length ? data.scopes.join(", ") : "none"]],
    ["Key", id ? [name(id)] : ["–"]],
    ["Good until", expires ? [time(expires, day)] : ["no end is known"]],
  ];
  show("open", [data.models, data.scopes, data.credential], () => facts.map(([title, parts]) =>
    el("div", {}, el("dt", {}, title), el("dd", {}, ...parts))));
}

new Poll(() => new URLSearchParams(location.search), render);
