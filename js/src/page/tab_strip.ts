/** Tabs in a strip, one panel on show, and beside them what stays in sight whichever is open. */

import { element, setAttribute, setText } from "../ui/dom";

interface Tab {
  readonly key: string;
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
}

export class TabStrip {
  readonly #tabs: Tab[] = [];
  readonly #prefix = `iua-tabs-${Math.random().toString(36).slice(2, 10)}`;
  readonly #list: HTMLElement;
  readonly #panels = element("div", { class: "iua-tab-panels" });
  readonly #pinned = element("div", { class: "iua-strip-pinned" });
  readonly #node: HTMLElement;
  readonly #onShow: (key: string) => void;
  readonly #signal: AbortSignal;
  #shown = "";

  /** `onShow` is told of a tab that the user has opened. */
  constructor(label: string, onShow: (key: string) => void, signal: AbortSignal) {
    this.#onShow = onShow;
    this.#signal = signal;
    this.#list = element("div", {
      class: "iua-tabs",
      attributes: { role: "tablist", "aria-label": label },
    });
    this.#list.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#node = element(
      "section",
      { class: "iua-strip", attributes: { "aria-label": label } },
      element("div", { class: "iua-strip-main" }, this.#list, this.#panels),
      this.#pinned,
    );
  }

  /** The key of the tab on show. */
  get shown(): string {
    return this.#shown;
  }

  /** Add a tab after those there are; the first one is shown. */
  add(key: string, title: string, content: HTMLElement): void {
    const id = `${this.#prefix}-${key}`;
    const button = element("button", {
      class: "iua-tab",
      text: title,
      attributes: { type: "button", role: "tab", id, "aria-controls": `${id}-panel` },
    });
    const panel = element(
      "div",
      {
        class: "iua-tab-panel",
        attributes: { role: "tabpanel", id: `${id}-panel`, "aria-labelledby": id },
      },
      content,
    );
    button.addEventListener("click", () => this.#open(key), { signal: this.#signal });
    this.#tabs.push({ key, button, panel });
    this.#list.append(button);
    this.#panels.append(panel);
    this.show(this.#shown === "" ? key : this.#shown);
  }

  /** Show a tab; a key that there is not leaves all as it is. */
  show(key: string): void {
    if (!this.#tabs.some((tab) => tab.key === key)) return;
    this.#shown = key;
    for (const { key: other, button, panel } of this.#tabs) {
      const here = other === key;
      setAttribute(button, "aria-selected", String(here));
      button.tabIndex = here ? 0 : -1;
      panel.hidden = !here;
    }
  }

  /** Say something else on a tab. */
  name(key: string, title: string): void {
    const tab = this.#tabs.find((one) => one.key === key);
    if (tab !== undefined) setText(tab.button, title);
  }

  /** Show beside the tabs, at the right, whichever is open. */
  pin(content: HTMLElement): void {
    this.#pinned.replaceChildren(content);
  }

  #open(key: string): void {
    if (key === this.#shown) return;
    this.show(key);
    this.#onShow(key);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const here = this.#tabs.findIndex(({ key }) => key === this.#shown);
    const last = this.#tabs.length - 1;
    const places: Readonly<Record<string, number>> = {
      ArrowLeft: here === 0 ? last : here - 1,
      ArrowRight: here === last ? 0 : here + 1,
      Home: 0,
      End: last,
    };
    const tab = this.#tabs[places[event.key] ?? -1];
    if (tab === undefined) return;
    this.#open(tab.key);
    tab.button.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
