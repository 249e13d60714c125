/**
 * What the browser keeps, in IndexedDB: the cart, the refresh token, traces of orders. Not in localStorage: there a tab
 * may read an old value after another tab has written a new one, and a refresh token used twice signs everybody out.
 */

const STORE = "kept";
const TRACES = "traces";
const LATEST_TRACES = 50;

const database = new Promise((resolve, reject) => {
  const request = indexedDB.open("shop", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** Return the value of a key, `undefined` without one. */
export const read = (key) => update(key, (value) => value);

/** Replace a value by what `change` makes of it, and return that. No other tab reads or writes it meanwhile. */
export async function update(key, change) {
  const transaction = (await database).transaction(STORE, "readwrite");
  const store = transaction.objectStore(STORE);
  return new Promise((resolve, reject) => {
    const reading = store.get(key);
    reading.onsuccess = () => {
      const changed = change(reading.result);
      store.put(changed, key);
      transaction.oncomplete = () => resolve(changed);
    };
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Keep the ids of an answer about an order; `act` says what was asked for. */
export function remember(order, act, { requestId, traceId }) {
  return update(TRACES, (traces = []) => [...traces, { order, act, requestId, traceId }].slice(-LATEST_TRACES));
}

/** Return what was kept about an order, oldest first: nothing if another browser placed it. */
export const tracesOf = async (order) => ((await read(TRACES)) ?? []).filter((trace) => trace.order === order);

/** Forget all of them. */
export const forgetTraces = () => update(TRACES, () => []);
