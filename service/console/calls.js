"use strict";
// What the pages share: calls with the key, and elements made without markup in text.

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map(
    (child) => (child instanceof Node ? child : String(child))));
  return made;
}

function keyHeader() {
  const key = byId("key").value.trim();
  return key ? { "X-API-Key": key } : {};
}

async function call(method, path, body) {
  const headers = keyHeader();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const type = answer.headers.get("Content-Type") || "";
  const content = type.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Error(content.detail || `${answer.status}`);
  return content;
}

document.addEventListener("DOMContentLoaded", () => {
  // for this tab alone, and gone with it
  byId("key").value = sessionStorage.getItem("key") || "";
  byId("key").addEventListener("change", () => {
    sessionStorage.setItem("key", byId("key").value.trim());
    document.dispatchEvent(new Event("key"));
  });
});
