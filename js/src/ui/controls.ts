/** Makes a control that chooses one of several values, and puts a name before a control. */

import { element } from "./dom";

/** Values with the words for them. */
type Options = readonly (readonly [value: string, words: string])[];

/** `values` are offered as they are, unless there are words for them. */
export function select<Value extends string>(
  name: string,
  values: readonly Value[] | Readonly<Record<Value, string>>,
  onChange: (value: Value) => void,
  signal: AbortSignal,
): HTMLSelectElement {
  const node = element("select", { class: "iua-select", attributes: { "aria-label": name } });
  const isList = Array.isArray(values);
  setOptions(node, isList ? values.map((one) => [one, one]) : Object.entries<string>(values));
  node.addEventListener("change", () => onChange(node.value as Value), { signal });
  return node;
}

/** Offer other values. */
export function setOptions(node: HTMLSelectElement, options: Options): void {
  node.replaceChildren(
    ...options.map(([value, text]) => element("option", { text, attributes: { value } })),
  );
}

/** Show a value, where another is shown. */
export function showValue(node: HTMLSelectElement, value: string): void {
  if (node.value !== value) node.value = value;
}

/** A control with a name before it, which it has for itself already. */
export function named(name: string, control: HTMLElement): HTMLElement {
  const text = element("span", { text: name, attributes: { "aria-hidden": "true" } });
  return element("label", { class: "iua-choice" }, text, control);
}
