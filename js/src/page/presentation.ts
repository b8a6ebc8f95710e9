/** Presentation: the view alone, over the whole window or the whole screen. */

import { setAttribute } from "../ui/dom";

const REACHABLE = "button, input, select, textarea, summary, a[href], [tabindex]";
/** What has its own use for Escape, and has it first: it takes back what was typed. */
const TYPED = 'input[type="text"], textarea';
const OPEN = ".iua-popup:not([hidden])";

export class Presentation {
  readonly #root: HTMLElement;
  readonly #onChange: () => void;
  #on = false;
  #wasFullScreen = false;
  #before: Element | null = null;

  constructor(root: HTMLElement, onChange: () => void, signal: AbortSignal) {
    this.#root = root;
    this.#onChange = onChange;
    root.addEventListener("keydown", (event) => this.#keepFocus(event), { signal });
    document.addEventListener("keydown", (event) => this.#escape(event), { signal, capture: true });
    document.addEventListener("fullscreenchange", () => this.#screenChanged(), { signal });
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
    this.#raise(this.#on);
    this.#onChange();
    if (this.#before instanceof HTMLElement) this.#before.focus({ preventScroll: true });
  }

  /** Above everything else on the page, whatever its boxes clip; the full screen is so by itself. */
  #raise(raised: boolean): void {
    setAttribute(this.#root, "popover", raised ? "manual" : null);
    if (raised) this.#root.showPopover?.();
  }

  /** Presents, too; resolves to what forbids it, or to null. */
  async toggleFullScreen(): Promise<string | null> {
    if (!this.#on) this.toggle();
    try {
      if (this.fullScreen) {
        this.#wasFullScreen = false;
        await document.exitFullscreen();
      } else {
        // What is shown as a popover may not have the screen.
        this.#raise(false);
        await this.#root.requestFullscreen();
      }
      return null;
    } catch {
      this.#raise(this.#on);
      return "This page does not allow full screen.";
    }
  }

  /** The browser keeps to itself the Escape that leaves the full screen: it ends the presentation. */
  #screenChanged(): void {
    const left = this.#wasFullScreen && !this.fullScreen;
    this.#wasFullScreen = this.fullScreen;
    if (left && this.#on) {
      this.toggle();
      return;
    }
    if (this.#on && !this.fullScreen) this.#raise(true);
    this.#onChange();
  }

  /** From wherever the focus is, before anything on the page takes the key; an open menu closes first. */
  #escape(event: KeyboardEvent): void {
    if (!this.#on || event.key !== "Escape" || this.#root.querySelector(OPEN) !== null) return;
    const target = event.composedPath()[0];
    if (target instanceof Element && target.matches(TYPED)) {
      setTimeout(() => this.#on && this.toggle());
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    this.toggle();
  }

  /** Tab goes round within the view: what lies below cannot be seen. */
  #keepFocus(event: KeyboardEvent): void {
    if (!this.#on || event.key !== "Tab") return;
    const nodes = [...this.#root.querySelectorAll<HTMLElement>(REACHABLE)].filter(
      (node) => node.tabIndex >= 0 && node.checkVisibility() && !node.matches(":disabled"),
    );
    const edge = event.shiftKey ? nodes[0] : nodes.at(-1);
    if (document.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? nodes.at(-1) : nodes[0])?.focus();
  }
}
