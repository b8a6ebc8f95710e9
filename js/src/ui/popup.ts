/** A panel that a button opens over the page; Escape, or a click or focus elsewhere, closes it. */

import { element, setAttribute } from "./dom";

let made = 0;

interface PopupOptions {
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
  onOpen?(): void;
}

export class Popup {
  readonly #button: HTMLButtonElement;
  readonly #panel: HTMLElement;
  readonly #options: PopupOptions;
  readonly #node: HTMLElement;

  constructor(options: PopupOptions, signal: AbortSignal) {
    const { button, panel } = options;
    this.#options = options;
    this.#button = button;
    this.#panel = panel;
    this.#node = element("span", { class: "iua-popup-home" }, button, panel);
    button.classList.add("iua-opens");
    panel.classList.add("iua-popup");
    panel.hidden = true;
    panel.id = `iua-popup-${++made}-${Math.random().toString(36).slice(2)}`;
    setAttribute(button, "aria-controls", panel.id);
    setAttribute(button, "aria-expanded", "false");
    button.addEventListener("click", () => (this.shown ? this.close() : this.open()), { signal });
    this.#node.addEventListener("focusout", (event) => this.#left(event), { signal });
    document.addEventListener("pointerdown", (event) => this.#outside(event), { signal });
    document.addEventListener("keydown", (event) => this.#key(event), { signal, capture: true });
  }

  get shown(): boolean {
    return !this.#panel.hidden;
  }

  open(): void {
    this.#show(true);
    this.#options.onOpen?.();
  }

  /** Focus that was in the panel goes to the button. */
  close(): void {
    const inside = this.#panel.matches(":focus-within");
    this.#show(false);
    if (inside) this.#button.focus({ preventScroll: true });
  }

  #show(shown: boolean): void {
    if (shown === this.shown) return;
    this.#panel.hidden = !shown;
    setAttribute(this.#button, "aria-expanded", String(shown));
    if (shown) this.#keepInside();
  }

  /** A panel hangs from the right end of its button, unless the view ends before it does. */
  #keepInside(): void {
    this.#panel.style.removeProperty("translate");
    const root = this.#node.closest(".iua-widget");
    if (root === null) return;
    const over = root.getBoundingClientRect().left + 4 - this.#panel.getBoundingClientRect().left;
    if (over > 0) this.#panel.style.translate = `${over}px`;
  }

  /** Wherever the focus is: some browsers give none to a button that is clicked. */
  #key(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !this.shown) return;
    this.#show(false);
    this.#button.focus({ preventScroll: true });
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  #outside(event: Event): void {
    if (this.shown && !event.composedPath().includes(this.#node)) this.#show(false);
  }

  #left(event: FocusEvent): void {
    const to = event.relatedTarget as Node | null;
    if (to !== null && !this.#node.contains(to)) this.#show(false);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
