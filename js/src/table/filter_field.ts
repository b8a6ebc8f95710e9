/** The field for the filter of the table, and what is wrong with what is typed in it. */

import { element, setAttribute, setText } from "../ui/dom";
import { parseFilter } from "./row_filter";

/** A comparison that is being written is not at fault yet. */
const WRITTEN_MS = 600;
const HELP =
  'Words of the name or the kind; also kind:ReLU, "two words", and figures such as dead-units>0, dead-share>=50%, dead-channels>0';

export class FilterField {
  readonly #onFilter: (filter: string) => void;
  readonly #fault = element("p", { class: "iua-filter-fault", attributes: { role: "status" } });
  readonly #node = element("input", {
    class: "iua-filter",
    title: HELP,
    attributes: {
      type: "search",
      placeholder: "filter layers",
      "aria-label": "filter layers",
      "aria-description": HELP,
      spellcheck: "false",
      autocomplete: "off",
    },
  });
  #inForce = "";
  /** What was typed, where it cannot be a filter. */
  #faultOf: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(onFilter: (filter: string) => void, signal: AbortSignal) {
    this.#onFilter = onFilter;
    this.#fault.hidden = true;
    this.#node.addEventListener("input", () => this.#typed(), { signal });
    this.#node.addEventListener(
      "blur",
      () => {
        if (this.#faultOf === null) this.#node.value = this.#inForce;
      },
      { signal },
    );
  }

  /** The filter in force. */
  get filter(): string {
    return this.#inForce;
  }

  /** Filter by this from now on. */
  set(filter: string): void {
    this.#inForce = filter;
    this.#showFault(null);
    if (!this.#node.matches(":focus")) this.#node.value = filter;
    this.#onFilter(filter);
  }

  /** What stands in the host; what is being typed is left alone. */
  update(filter: string): void {
    if (filter !== this.#inForce) this.#showFault(null);
    this.#inForce = filter;
    const left = this.#faultOf !== null || this.#node.matches(":focus");
    if (this.#node.value !== filter && !left) this.#node.value = filter;
  }

  /** What cannot be a filter leaves the last one in force, and is told beside the field. */
  #typed(): void {
    const filter = this.#node.value;
    if (parseFilter(filter).fault === "") this.set(filter);
    else {
      this.#showFault(null);
      this.#faultOf = filter;
      this.#timer = setTimeout(() => this.#showFault(filter), WRITTEN_MS);
    }
  }

  #showFault(filter: string | null): void {
    clearTimeout(this.#timer);
    this.#faultOf = filter;
    const { fault, help } = parseFilter(filter ?? "");
    const kept = this.#inForce === "" ? "All rows stay" : `“${this.#inForce}” stays in force`;
    setText(this.#fault, fault === "" ? "" : `${fault} ${kept}.`);
    this.#fault.title = help;
    this.#fault.hidden = fault === "";
    setAttribute(this.#node, "aria-invalid", fault === "" ? null : "true");
  }

  node(): HTMLElement {
    return this.#node;
  }

  faultNode(): HTMLElement {
    return this.#fault;
  }
}
