/** A button that opens a small panel of what is rarely needed: one for every menu of the view. */

import { element, setAttribute } from "./dom";

export interface PaneMenuOptions {
  /** What the button shows. */
  readonly text: string;
  /** What it is called where its text does not say it. */
  readonly name?: string;
  readonly title?: string;
  /** Of the panel, for those who do not see it. */
  readonly label: string;
  readonly class?: string;
}

export class PaneMenu {
  readonly #button: HTMLButtonElement;
  readonly #panel: HTMLElement;
  readonly #node: HTMLElement;

  constructor(options: PaneMenuOptions, content: readonly Node[], signal: AbortSignal) {
    const { text, name, title, label } = options;
    this.#button = element("button", {
      class: "iua-button iua-tool iua-menu-button",
      text,
      ...(title === undefined ? {} : { title }),
      attributes: {
        type: "button",
        "aria-expanded": "false",
        ...(name === undefined ? {} : { "aria-label": name }),
      },
    });
    this.#panel = element(
      "div",
      {
        class: `iua-menu ${options.class ?? ""}`.trim(),
        attributes: { role: "group", "aria-label": label },
      },
      ...content,
    );
    this.#panel.id = `iua-menu-${Math.random().toString(36).slice(2, 10)}`;
    this.#panel.hidden = true;
    setAttribute(this.#button, "aria-controls", this.#panel.id);
    this.#node = element("span", { class: "iua-menu-home" }, this.#button, this.#panel);
    this.#button.addEventListener("click", () => this.open(this.#panel.hidden !== false), {
      signal,
    });
    this.#node.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#node.addEventListener("focusout", (event) => this.#left(event), { signal });
    const outside = (event: Event): void => {
      if (!event.composedPath().includes(this.#node)) this.open(false);
    };
    document.addEventListener("pointerdown", outside, { signal });
  }

  get isOpen(): boolean {
    return !this.#panel.hidden;
  }

  open(open: boolean): void {
    if (open === this.isOpen) return;
    this.#panel.hidden = !open;
    setAttribute(this.#button, "aria-expanded", String(open));
    if (open) this.#keepInside();
  }

  /** A panel hangs from the right end of its button, unless the view ends before it does. */
  #keepInside(): void {
    this.#panel.style.removeProperty("translate");
    const root = this.#node.closest(".iua-widget");
    if (root === null) return;
    const over = root.getBoundingClientRect().left + 4 - this.#panel.getBoundingClientRect().left;
    if (over > 0) this.#panel.style.translate = `${over}px`;
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !this.isOpen) return;
    this.open(false);
    this.#button.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  #left(event: FocusEvent): void {
    const to = event.relatedTarget as Node | null;
    if (to !== null && !this.#node.contains(to)) this.open(false);
  }

  setTitle(title: string): void {
    setAttribute(this.#button, "title", title);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
