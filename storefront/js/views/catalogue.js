/** The catalogue and its products. The filters are part of the address, so that it can be passed on. */

import * as api from "../api.js";
import { addToCart } from "../cart.js";
import { announce, button, h } from "../dom.js";
import { choice, field, valuesOf } from "../forms.js";
import { explain, pages, poll, region } from "../region.js";
import { setTitle } from "../router.js";
import { user } from "../session.js";
import { money, t } from "../texts.js";

const SORTS = ["name", "price", "-price", "newest"];
const TYPING_PAUSE = 250; // ms
const PLACEHOLDER = "pictures/placeholder.svg";

/** The view of all products: browse, search, filter, sort. */
export async function catalogue({ query, signal }) {
  let chosen = Object.fromEntries(query);
  const found = h("p", { role: "status", class: "hint" });
  const load = async (cursor) => {
    const { data } = await api.products({ ...chosen, cursor });
    found.textContent = t("catalogue.found", { count: data.items.length });
    return data;
  };
  const results = pages(load, grid, t("catalogue.nothing"));
  const filters = filterForm(chosen);
  let typing;
  const filter = () => {
    if (signal.aborted) return;
    chosen = valuesOf(filters);
    history.replaceState(null, "", `#/${api.search(chosen)}`);
    results.reload();
  };
  filters.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filter, TYPING_PAUSE);
  });
  return { title: t("catalogue.title"), content: [filters, found, results] };
}

function filterForm({ q, category, min_price: min, max_price: max, in_stock: inStock, sort }) {
  const price = { type: "number", min: 0, step: "0.01" };
  const stock = [["", t("catalogue.any-stock")], ["true", t("catalogue.in-stock")]];
  return h("form", { role: "search", class: "filters", submit: (event) => event.preventDefault() },
    field("q", t("catalogue.search"), { type: "search", value: q, maxlength: 200 }),
    region(async () => choice("category", t("catalogue.category"), await categories(), category)),
    field("min_price", t("catalogue.min"), { ...price, value: min }),
    field("max_price", t("catalogue.max"), { ...price, value: max }),
    choice("in_stock", t("catalogue.stock"), stock, inStock),
    choice("sort", t("catalogue.sort"), SORTS.map((each) => [each, t(`catalogue.sort.${each}`)]), sort));
}

async function categories() {
  const { data } = await api.categories();
  return [["", t("catalogue.all")], ...data.items.map(({ name, products }) => [name, `${name} (${products})`])];
}

function grid(products) {
  return h("ul", { class: "grid" }, products.map((product) => h("li", { class: "card" }, picture(product),
    h("h2", {}, h("a", { href: `#/products/${encodeURIComponent(product.id)}` }, product.name)), ...offer(product))));
}

/** Return the picture of a product. It says nothing that its name does not say. */
function picture({ image_url: url }) {
  const shown = h("img", { src: url ?? PLACEHOLDER, alt: "", width: 400, height: 300, loading: "lazy" });
  shown.addEventListener("error", () => (shown.src = PLACEHOLDER), { once: true });
  return shown;
}

function offer(product) {
  const { name, price, currency, stock } = product;
  const add = () => addToCart(product).then(() => announce(t("product.added", { name })));
  const count = t(stock ? "product.stock" : "product.sold-out", { count: stock });
  return [
    h("p", { class: "price" }, money(price, currency)),
    h("p", { class: stock ? "stock" : "stock none" }, count),
    button(t("product.add"), add, { disabled: !stock, "aria-label": t("product.add-named", { name }) }),
  ];
}

/** The view of a product, with its stock as it is now. */
export async function productPage({ id, signal }) {
  const place = h("div", { class: "product" });
  const show = ({ data: product }) => {
    const edit = user()?.isAdmin && h("a", { href: `#/stock/${encodeURIComponent(id)}` }, t("stock.edit"));
    const description = h("p", { class: "long" }, product.description);
    const focused = place.contains(document.activeElement);
    place.replaceChildren(picture(product), h("div", {}, offer(product), description, edit));
    if (focused) place.querySelector("button").focus();
    setTitle(product.name);
  };
  const load = async () => {
    const first = await api.product(id);
    if (signal.aborted) return [];
    show(first);
    const fail = (problem) => place.replaceChildren(explain(problem)); // it is no longer for sale
    poll((etag) => api.product(id, etag), show, fail, signal, first.etag);
    return place;
  };
  return { title: t("product.title"), content: [region(load)] };
}
