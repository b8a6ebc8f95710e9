/** Gestures on the picture: drag, wheel, pinch, click, double click, and a rectangle with Shift. */

import type { Point } from "./viewport";

/** A pointer that moves less than this between down and up has clicked. */
const CLICK_REACH = 4;
const DOUBLE_CLICK_MS = 500;

export interface Click {
  readonly at: Point;
  /** With Shift, Ctrl or Cmd held: add to what is selected. */
  readonly adds: boolean;
  /** The second of a double click. */
  readonly second: boolean;
}

interface GestureListener {
  /** Whether the wheel is meant for the picture. */
  allowsWheel(event: WheelEvent): boolean;
  onWheel(event: WheelEvent, at: Point): void;
  onPan(dx: number, dy: number): void;
  onPinch(before: readonly [Point, Point], after: readonly [Point, Point]): void;
  onHover(at: Point): void;
  onClick(click: Click): void;
  onDoubleClick(): void;
  /** A rectangle is being drawn; once it is `done` it is meant, `null` when it was given up. */
  onRegion(corners: readonly [Point, Point] | null, done: boolean): void;
}

type Stroke = "click" | "pan" | "region" | "pinch";

export class Gestures {
  readonly #node: HTMLElement;
  readonly #listener: GestureListener;
  readonly #pointers = new Map<number, Point>();
  #stroke: Stroke | null = null;
  #start: Point = { x: 0, y: 0 };
  #adds = false;
  #clicked: { readonly at: Point; readonly time: number } | null = null;

  constructor(node: HTMLElement, listener: GestureListener, signal: AbortSignal) {
    this.#node = node;
    this.#listener = listener;
    const on = <Type extends keyof HTMLElementEventMap>(
      type: Type,
      handle: (event: HTMLElementEventMap[Type]) => void,
    ): void => node.addEventListener(type, handle, { signal, passive: false });
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", (event) => this.#cancel(event));
    on("wheel", (event) => this.#wheel(event));
    on("dblclick", () => this.#listener.onDoubleClick());
    // Two fingers are meant for the picture, though one may scroll the page.
    for (const type of ["touchstart", "touchmove"] as const) {
      on(type, (event) => {
        if (event.touches.length > 1 && event.cancelable) event.preventDefault();
      });
    }
  }

  #at(event: PointerEvent | WheelEvent): Point {
    const box = this.#node.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event: PointerEvent): void {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.#node.focus({ preventScroll: true });
    // A pointer that tests make up cannot be captured.
    if (event.isTrusted) this.#node.setPointerCapture(event.pointerId);
    const at = this.#at(event);
    this.#pointers.set(event.pointerId, at);
    if (this.#pointers.size === 1) {
      this.#start = at;
      this.#adds = event.shiftKey || event.ctrlKey || event.metaKey;
      this.#stroke = "click";
    } else {
      if (this.#stroke === "region") this.#listener.onRegion(null, true);
      this.#stroke = "pinch";
    }
  }

  #move(event: PointerEvent): void {
    const at = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) {
      this.#listener.onHover(at);
      return;
    }
    if (this.#stroke === "pinch") {
      const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId);
      this.#pointers.set(event.pointerId, at);
      if (other !== undefined) this.#listener.onPinch([before, other[1]], [at, other[1]]);
      return;
    }
    if (this.#stroke === "click") {
      if (Math.hypot(at.x - this.#start.x, at.y - this.#start.y) < CLICK_REACH) return;
      this.#stroke = event.shiftKey ? "region" : "pan";
    }
    this.#pointers.set(event.pointerId, at);
    if (this.#stroke === "region") this.#listener.onRegion([this.#start, at], false);
    else if (this.#stroke === "pan") this.#listener.onPan(at.x - before.x, at.y - before.y);
  }

  #up(event: PointerEvent): void {
    if (!this.#pointers.delete(event.pointerId)) return;
    const at = this.#at(event);
    const stroke = this.#stroke;
    if (this.#pointers.size === 0) this.#stroke = null;
    if (stroke === "click") this.#click(at, event.timeStamp);
    else if (stroke === "region") this.#listener.onRegion([this.#start, at], true);
  }

  #click(at: Point, time: number): void {
    const before = this.#clicked;
    const second =
      before !== null &&
      time - before.time < DOUBLE_CLICK_MS &&
      Math.hypot(at.x - before.at.x, at.y - before.at.y) < CLICK_REACH;
    this.#clicked = second ? null : { at, time };
    this.#listener.onClick({ at, adds: this.#adds, second });
  }

  #cancel(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    if (this.#stroke === "region") this.#listener.onRegion(null, true);
    if (this.#pointers.size === 0) this.#stroke = null;
  }

  #wheel(event: WheelEvent): void {
    if (!this.#listener.allowsWheel(event)) return;
    event.preventDefault();
    this.#listener.onWheel(event, this.#at(event));
  }
}
