/** Shows the view alone and large: over the whole window, and over the whole screen if asked. */

import { setAttribute } from "./dom";

const REACHABLE = "button, input, select, textarea, summary, a[href], [tabindex]";

export class Presentation {
  readonly #root: HTMLElement;
  readonly #onChange: () => void;
  #on = false;
  #before: Element | null = null;

  constructor(root: HTMLElement, onChange: () => void, signal: AbortSignal) {
    this.#root = root;
    this.#onChange = onChange;
    root.addEventListener("keydown", (event) => this.#key(event), { signal });
    document.addEventListener("fullscreenchange", () => this.#onChange(), { signal });
    signal.addEventListener("abort", () => this.#on && this.toggle(), { once: true });
  }

  get on(): boolean {
    return this.#on;
  }

  get fullScreen(): boolean {
    return document.fullscreenElement === this.#root;
  }

  toggle(): void {
    this.#on = !this.#on;
    if (this.#on) this.#before = document.activeElement;
    else if (this.fullScreen) void document.exitFullscreen();
    this.#root.classList.toggle("iua-presenting", this.#on);
    setAttribute(this.#root, "role", this.#on ? "dialog" : null);
    setAttribute(this.#root, "aria-modal", this.#on ? "true" : null);
    setAttribute(this.#root, "aria-label", this.#on ? "presentation" : null);
    this.#raise();
    if (this.#before instanceof HTMLElement) this.#before.focus({ preventScroll: true });
    this.#onChange();
  }

  /** Above everything else on the page, whatever its boxes clip. */
  #raise(): void {
    setAttribute(this.#root, "popover", this.#on ? "manual" : null);
    if (this.#on) this.#root.showPopover?.();
  }

  /** Resolves to what forbids it, or to null. */
  async toggleFullScreen(): Promise<string | null> {
    try {
      if (this.fullScreen) await document.exitFullscreen();
      else await this.#root.requestFullscreen();
      return null;
    } catch {
      return "This page does not allow full screen.";
    }
  }

  #key(event: KeyboardEvent): void {
    if (!this.#on) return;
    if (event.key === "Escape" && !event.defaultPrevented) {
      event.stopPropagation();
      this.toggle();
    } else if (event.key === "Tab") this.#keepFocus(event);
  }

  /** Tab goes round within the view: what lies below cannot be seen. */
  #keepFocus(event: KeyboardEvent): void {
    const nodes = [...this.#root.querySelectorAll<HTMLElement>(REACHABLE)].filter(
      (node) => node.tabIndex >= 0 && node.checkVisibility() && !node.matches(":disabled"),
    );
    const edge = event.shiftKey ? nodes[0] : nodes.at(-1);
    if (document.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? nodes.at(-1) : nodes[0])?.focus();
  }
}
