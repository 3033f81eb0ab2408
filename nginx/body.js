/* What Envoy's transcoder lets pass: bodies of REST requests are held against the contract before they go on.
 *
 * `contract.json` has, by verb, patterns of paths with their message and whether they need a token, and for each message its
 * fields: a name of another message, "" for what has no fields of its own. Both spellings of a field (proto3's JSON mapping) are known. */

import crypto from "crypto";

const DEPTH = 32;
const JSON_TYPE = /^application\/json\s*(;|$)/i;

async function check(r) {
  const rule = ruleOf(r);
  if (!rule) {
    return;
  }
  const bytes = await r.readRequestArrayBuffer();
  const problem = bytes.byteLength ? objection(r, bytes, rule) : "";
  if (problem) {
    refuse(r, problem);
  }
}

function objection(r, bytes, rule) {
  if (!JSON_TYPE.test(r.headersIn["Content-Type"] || "")) {
    return "The body must be JSON: send it with Content-Type: application/json.";
  }
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return error instanceof SyntaxError ? "The body is not JSON, or is nested too deeply." : "The body is not UTF-8.";
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return "The body must be a JSON object.";
  }
  return deviation(value, rule[1], "", 0);
}

/* Find the rule of a request; none for paths that Envoy will refuse, or that take other bodies, or before signing in. */
function ruleOf(r) {
  const rules = contract.rules[r.method] || [];
  for (let index = 0; index < rules.length; index++) {
    if (new RegExp(rules[index][0]).test(r.uri)) {
      return rules[index][2] && !r.headersIn.Authorization ? null : rules[index];
    }
  }
  return null;
}

/* Give the first thing in `value` that the message does not have, or "". */
function deviation(value, message, where, depth) {
  if (depth > DEPTH) {
    return "The body is nested too deeply.";
  }
  if (value === null || typeof value !== "object") {
    return "";
  }
  const isList = Array.isArray(value);
  const fields = message && !isList ? contract.messages[message] : undefined;
  const names = Object.keys(value);
  for (let index = 0; index < names.length; index++) {
    const name = names[index];
    const path = isList ? `${where}[${name}]` : where ? `${where}.${name}` : name;
    if (fields && fields[name] === undefined) {
      return `${path}: there is no such field.`;
    }
    if (value[name] === null && (fields || isList)) {
      return `${path}: null is no value here; leave the field out.`;
    }
    const within = isList ? message : fields ? fields[name] : "";
    const found = deviation(value[name], within, path, depth + 1);
    if (found) {
      return found;
    }
  }
  return "";
}

/* Whose answer it is that may be kept: a hash of the token, in place of the token itself. */
function whose(r) {
  return crypto.createHash("sha256").update(r.headersIn.Authorization || "").digest("hex");
}

function refuse(r, message) {
  const detail = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "REQUEST_MALFORMED", domain: "parley", metadata: {} };
  r.headersOut["Content-Type"] = "application/json";
  r.return(400, JSON.stringify({ code: 3, message: message.slice(0, 500), details: [detail] }) + "\n");
}

export default { check, whose };
