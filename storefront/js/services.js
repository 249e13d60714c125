/** The services: where they are, what they answer (problem documents are RFC 9457), and which do not answer now. */

export const SERVICES = ["user-service", "product-service", "order-service", "notification-service"];

const TIMEOUT = 12_000; // ms; more than order-service takes for its slowest answer
const PROBE_TIMEOUT = 5_000; // ms
const LONGEST_PAUSE = 30; // seconds
const AWAY = ["unavailable", "gateway-timeout"]; // problems that mean: the service, or its database, is away

let urls = {};
const away = new Set();
const changes = new EventTarget();

/** What a service answered instead of what was asked for. `errors` names invalid fields. */
export class Problem extends Error {
  constructor(service, { status = 0, headers = new Headers() }, { type = "", detail, errors = [] } = {}) {
    super(detail ?? `${service}: ${status}`);
    const retryAfter = Number(headers.get("Retry-After")) || 0; // seconds
    Object.assign(this, { service, status, type, errors, retryAfter });
  }
}

/** No answer, or one that says that the service is away. It is unknown whether the service has acted. */
export class NoAnswer extends Problem {}

/** Load the addresses of the services. The server of this page knows them. */
export async function loadAddresses() {
  urls = await (await fetch("services.json")).json();
}

/** Return the base URL of a service. */
export const urlOf = (service) => urls[service];

/** Return whether a service does not answer now. */
export const isAway = (service) => away.has(service);

/** Call a function after each change of what `isAway` says. */
export const onOutage = (react) => changes.addEventListener("change", react);

/** After NoAnswer, return when that service answers again. Throws every other problem. */
export async function recovery(problem) {
  if (!(problem instanceof NoAnswer)) throw problem;
  while (isAway(problem.service)) await new Promise((back) => changes.addEventListener("change", back, { once: true }));
}

/**
 * Ask a service, and return `{status, data, etag, requestId, traceId}`; status 304 has no data.
 * Throws NoAnswer, and Problem for every other answer from 400 on.
 */
export async function send(service, path, { method = "GET", body, headers = {} } = {}) {
  const type = body && { "Content-Type": "application/json" };
  const request = { method, headers: { ...headers, ...type }, body: JSON.stringify(body), cache: "no-store" };
  const [response, data] = await exchange(service, path, { ...request, signal: AbortSignal.timeout(TIMEOUT) });
  if (response.status >= 503 && AWAY.includes(data?.type)) throw missed(new NoAnswer(service, response, data));
  answered(service);
  if (response.status >= 400) throw new Problem(service, response, data ?? {});
  const [etag, requestId, trace] = ["ETag", "X-Request-ID", "traceresponse"].map((name) => response.headers.get(name));
  return { status: response.status, data, etag, requestId, traceId: trace?.split("-")[1] };
}

async function exchange(service, path, request) {
  try {
    const response = await fetch(urlOf(service) + path, request);
    const text = await response.text();
    return [response, text ? JSON.parse(text) : null];
  } catch (cause) {
    throw missed(new NoAnswer(service, {}, { detail: cause.message }));
  }
}

function answered(service) {
  if (away.delete(service)) changes.dispatchEvent(new Event("change"));
}

function missed(problem) {
  if (away.has(problem.service)) return problem;
  away.add(problem.service);
  changes.dispatchEvent(new Event("change"));
  probe(problem.service, problem.retryAfter, 1);
  return problem;
}

/** Ask a service that is away after its Retry-After, then at growing intervals, until it answers. */
async function probe(service, retryAfter, pause) {
  await new Promise((resolve) => setTimeout(resolve, Math.max(retryAfter, pause) * 1000));
  if (!away.has(service)) return; // another request was answered meanwhile
  const request = fetch(`${urlOf(service)}/ready`, { signal: AbortSignal.timeout(PROBE_TIMEOUT) });
  const response = await request.catch(() => null);
  if (response?.ok) answered(service);
  else probe(service, Number(response?.headers.get("Retry-After")), Math.min(pause * 2, LONGEST_PAUSE));
}
