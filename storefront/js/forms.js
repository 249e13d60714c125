/** Forms: labelled fields, one request at a time, and what an answer says about a field shown at that field. */

import { h } from "./dom.js";
import { explain } from "./region.js";

let fields = 0;

/** Return an input with its label. `name` is the field's name in the API, so that a problem finds it. */
export function field(name, label, attributes = {}, hint = "") {
  return labelled(label, h("input", { name, ...attributes }), hint);
}

/** Return a choice; `options` are pairs of value and text. */
export function choice(name, label, options, selected = "", attributes = {}) {
  const made = options.map(([value, text]) => h("option", { value, selected: value === selected }, text));
  return labelled(label, h("select", { name, ...attributes }, made));
}

function labelled(label, control, hint = "") {
  control.id = `field-${++fields}`;
  control.setAttribute("aria-describedby", `${control.id}-hint`);
  const text = control.required ? `${label} *` : label;
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control,
    h("small", { id: `${control.id}-hint` }, hint));
}

/** Return a form with a button. `submit(values)` is called once at a time; a problem that it throws is shown. */
export function form(label, controls, submit, kind = "primary") {
  const message = h("p", { class: "problem", role: "alert" });
  const sender = h("button", { class: kind }, label);
  const made = h("form", { submit: (event) => event.preventDefault() || run() }, controls, message, sender);
  const run = async () => {
    if (sender.ariaBusy) return;
    sender.ariaBusy = "true";
    message.replaceChildren();
    try {
      await submit(valuesOf(made));
    } catch (problem) {
      message.append(explain(problem), ...(problem.errors ?? []).filter((error) => !isShown(made, error)).map(textOf));
      made.reportValidity();
    } finally {
      sender.ariaBusy = null;
    }
  };
  return made;
}

/** Return the values of a form by name: null for an empty one, and without blanks around it unless it is a password. */
export function valuesOf(made) {
  const tidy = (name, value) => (made.elements[name].type === "password" ? value : value.trim()) || null;
  return Object.fromEntries([...new FormData(made)].map(([name, value]) => [name, tidy(name, value)]));
}

const textOf = ({ field: name, message }) => ` ${name}: ${message}.`;

/** Let the browser show an error at its field until that is changed; return false if the form has no such field. */
function isShown(made, { field: path, message }) {
  const control = made.elements[path.split(".").at(-1)];
  control?.setCustomValidity(message);
  control?.addEventListener("input", () => control.setCustomValidity(""), { once: true });
  return Boolean(control);
}
