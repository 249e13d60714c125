/**
 * Who is signed in. The access token lives in memory only. The refresh token is kept by the browser, and works once:
 * one tab at a time exchanges it (Web Locks) and tells the others the new access token.
 */

import { recovery, send } from "./services.js";
import { read, update } from "./storage.js";

const REFRESH_TOKEN = "refresh token";
const LOCK = "shop.session";
const MARGIN = 30; // seconds before its end from which an access token is not used any more

let access = null; // {token, until, user}, and the refresh token that came with it
const tabs = new BroadcastChannel("shop.session");
const changes = new EventTarget();
tabs.onmessage = ({ data }) => adopt(data);

/** Return the signed-in user `{id, email, isAdmin}`, null if there is none. */
export const user = () => access?.user ?? null;

/** Call a function when another user is signed in, or none any more. */
export const onUserChange = (react) => changes.addEventListener("change", react);

/** Sign in. Throws Problem. */
export async function signIn(email, password) {
  const pair = await tokens("/login", { email, password });
  await navigator.locks.request(LOCK, () => keep(pair));
}

/** Sign out in all tabs, also if user-service does not answer: then its token lives on until it expires. */
export async function signOut() {
  const spent = await navigator.locks.request(LOCK, async () => {
    const token = await read(REFRESH_TOKEN);
    await keep(null);
    return token;
  });
  if (spent) await tokens("/logout", { refresh_token: spent });
}

/** Return a valid access token, null if nobody is signed in. Throws Problem if user-service refuses or is away. */
export async function accessToken() {
  if (!isFresh()) await navigator.locks.request(LOCK, refresh);
  return access?.token ?? null;
}

/** Sign in again as the user of the last visit; if user-service is away, when it is back. */
export async function resume() {
  await accessToken().catch((problem) => recovery(problem).then(resume));
}

/** Note that a service has refused an access token: the next one is a new one. */
export function discard(token) {
  if (access?.token === token) access.until = 0;
}

async function refresh() {
  const token = await read(REFRESH_TOKEN);
  if (access && access.refreshToken !== token) await news(); // of the tab that has just refreshed
  if (isFresh()) return;
  try {
    await keep(token ? await tokens("/refresh", { refresh_token: token }) : null);
  } catch (problem) {
    if (problem.status !== 401) throw problem; // the token is still good
    await keep(null);
  }
}

const isFresh = () => access && Date.now() < access.until;

function news() {
  return new Promise((heard) => {
    tabs.addEventListener("message", heard, { once: true });
    setTimeout(heard, 1000); // ms; that tab may be gone
  });
}

const tokens = async (path, body) => (await send("user-service", path, { method: "POST", body })).data;

async function keep(pair) {
  await update(REFRESH_TOKEN, () => pair?.refresh_token);
  const own = pair && accessOf(pair);
  tabs.postMessage(own);
  adopt(own);
}

function accessOf({ access_token: token, refresh_token: refreshToken, expires_in: seconds }) {
  const until = Date.now() + (seconds - Math.min(MARGIN, seconds / 3)) * 1000;
  return { token, until, refreshToken, user: userOf(token) };
}

function adopt(current) {
  const before = user();
  access = current;
  if (JSON.stringify(before) !== JSON.stringify(user())) changes.dispatchEvent(new Event("change"));
}

/** Return the user that an access token names (RFC 7519). Whether it is valid, the services decide. */
function userOf(token) {
  const payload = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
  const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, (byte) => byte.charCodeAt(0))));
  return { id: claims.sub, email: claims.email, isAdmin: claims.roles.includes("admin") };
}
