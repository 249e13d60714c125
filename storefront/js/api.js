/** What the page asks of the services: a function for each request, with the caller's access token where it matters. */

import { Problem, send } from "./services.js";
import { accessToken, discard } from "./session.js";

const part = encodeURIComponent;

export const register = (account) => send("user-service", "/register", post(account));
export const users = (query) => call("user-service", `/users${search(query)}`);
export const setRoles = (id, roles) =>
  call("user-service", `/users/${part(id)}/roles`, { method: "PUT", body: { roles } });

export const products = (query) => send("product-service", `/products${search(query)}`);
export const categories = () => send("product-service", "/categories");
export const product = (id, etag) => send("product-service", `/products/${part(id)}`, ifNoneMatch(etag));
export const addProduct = (body) => call("product-service", "/products", post(body));
export const changeProduct = (id, body, etag) =>
  call("product-service", `/products/${part(id)}`, { method: "PATCH", body, headers: { "If-Match": etag } });

export const orders = (query) => call("order-service", `/orders${search(query)}`);
export const order = (id, etag) => call("order-service", `/orders/${part(id)}`, ifNoneMatch(etag));
export const placeOrder = (body, key) => call("order-service", "/orders", post(body, { "Idempotency-Key": key }));
export const pay = (id, method) => call("order-service", `/orders/${part(id)}/pay`, post({ payment_method: method }));
export const cancel = (id) => call("order-service", `/orders/${part(id)}/cancel`, post());
export const ship = (id, tracking) => call("order-service", `/orders/${part(id)}/ship`, post(tracking));
export const deliver = (id) => call("order-service", `/orders/${part(id)}/deliver`, post());

export const notifications = (query, etag) =>
  call("notification-service", `/notifications${search(query)}`, ifNoneMatch(etag));

/** Send a request as the signed-in user. A token that is refused is renewed once: its key may have been revoked. */
async function call(service, path, options = {}, isRepeat = false) {
  const token = await accessToken();
  if (!token) throw new Problem(service, { status: 401 }, { type: "signed-out" });
  const signed = { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } };
  return send(service, path, signed).catch((problem) => {
    if (problem.status !== 401 || isRepeat) throw problem;
    discard(token);
    return call(service, path, options, true);
  });
}

const post = (body, headers) => ({ method: "POST", body, headers });

const ifNoneMatch = (etag) => ({ headers: etag ? { "If-None-Match": etag } : {} });

/** Return a query string, without the parameters that are empty. */
export function search(query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
