"use strict";

let schema;

function resolved(part) {
  return part && part.$ref ? schema.components.schemas[part.$ref.split("/").pop()] : part;
}

function typeOf(part) {
  if (part.$ref) return part.$ref.split("/").pop();
  if (part.const !== undefined) return JSON.stringify(part.const);
  if (part.enum) return part.enum.map((each) => JSON.stringify(each)).join(" | ");
  const choices = part.anyOf || part.oneOf;
  if (choices) return [...new Set(choices.map(typeOf))].join(" | ");
  if (part.type === "array") return `list of ${part.items ? typeOf(part.items) : "anything"}`;
  return part.format || part.type || "anything";
}

const LIMITS = { minimum: "≥ ", maximum: "≤ ", minLength: "characters ≥ ", maxLength: "characters ≤ ", minItems: "items ≥ ", maxItems: "items ≤ ", maxProperties: "fields ≤ " };

function limitsOf(part) {
  const parts = [part, ...(part.anyOf || [])];
  const found = parts.flatMap((each) => Object.entries(LIMITS)
    .filter(([name]) => each[name] !== undefined).map(([name, words]) => words + each[name]));
  if (part.default !== undefined && part.default !== null) found.push(`default ${JSON.stringify(part.default)}`);
  return found.join(", ");
}

function fieldTable(fields, required) {
  return element("table", {}, element("tbody", {}, ...Object.entries(fields).map(([name, field]) => element("tr", {},
    element("td", { class: "mono" }, name, required.includes(name) ? element("b", { title: "required" }, " *") : null),
    element("td", { class: "mono soft" }, typeOf(field)),
    element("td", {}, field.description || "", element("span", { class: "soft" }, ` ${limitsOf(field)}`))))));
}

function bodyOf(operation) {
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  if (!content) return null;
  const schemas = (content.schema.anyOf || [content.schema]).map((part) => [typeOf(part), resolved(part)]);
  const examples = Object.values(content.examples || {}).map((example) => example.value);
  return { schemas, example: JSON.stringify(examples[0] || {}, null, 2) };
}

function parametersOf(operation) {
  return (operation.parameters || []).filter((each) => each.in !== "header");
}

function tryIt(method, path, operation, body) {
  const inputs = new Map(parametersOf(operation).map((each) => [each,
    element("input", { "aria-label": each.name, placeholder: each.name, size: 12 })]));
  const text = body && element("textarea", { rows: Math.min(body.example.split("\n").length, 14), "aria-label": "body" }, body.example);
  const said = element("pre", { hidden: "" });
  const send = async () => {
    let target = path;
    const query = new URLSearchParams();
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(parameter.name, input.value);
    }
    const started = performance.now();
    const answer = await fetch(target + (query.size ? `?${query}` : ""), {
      method, headers: { ...keyHeader(), ...(text ? { "Content-Type": "application/json" } : {}) },
      body: text ? text.value : undefined,
    });
    const content = await answer.text();
    const json = (answer.headers.get("Content-Type") || "").includes("json");
    said.hidden = false;
    said.textContent = `${answer.status} in ${(performance.now() - started).toFixed(1)} ms\n`
      + (json ? JSON.stringify(JSON.parse(content), null, 2) : content);
  };
  return element("div", {}, text,
    element("div", { class: "row" }, ...inputs.values(), element("button", { class: "main", onclick: send }, "Send")), said);
}

function operationOf(method, path, operation) {
  const body = bodyOf(operation);
  const answers = Object.entries(operation.responses).map(([status, answer]) => element("tr", {},
    element("td", { class: "mono" }, status), element("td", {}, answer.description)));
  const parameters = Object.fromEntries(parametersOf(operation).map((each) => [each.name,
    { ...each.schema, description: each.description || each.schema.description }]));
  return element("details", { id: operation.operationId },
    element("summary", {}, element("span", { class: `method ${method}` }, method),
      element("code", {}, path), " ", element("span", { class: "soft" }, operation.summary)),
    element("p", {}, operation.description || ""),
    Object.keys(parameters).length ? fieldTable(parameters, parametersOf(operation).filter((each) => each.required).map((each) => each.name)) : null,
    ...(body ? body.schemas.flatMap(([name, part]) => [element("h3", {}, name), fieldTable(part.properties, part.required || [])]) : []),
    element("h3", {}, "Answers"), element("table", {}, element("tbody", {}, ...answers)),
    element("h3", {}, "Try it"), tryIt(method, path, operation, body));
}

document.addEventListener("DOMContentLoaded", async () => {
  schema = await (await fetch("/openapi.json")).json();
  byId("about").textContent = schema.info.description;
  const groups = new Map();
  for (const [path, methods] of Object.entries(schema.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["other"])[0];
      groups.set(tag, [...(groups.get(tag) || []), operationOf(method.toUpperCase(), path, operation)]);
    }
  }
  byId("calls").replaceChildren(...[...groups].map(([tag, calls]) =>
    element("section", { class: "sheet calls" }, element("h2", {}, tag), ...calls)));
});
