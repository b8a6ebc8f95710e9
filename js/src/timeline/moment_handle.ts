/** A handle on the timeline: a moment of training that keys and the pointer move from look to look. */

import { nearestLook } from "../reading/history";
import { element, setAttribute } from "../ui/dom";

const PAGE = 10;

interface MomentHandleOptions {
  readonly name: string;
  readonly class: string;
  readonly onMove: (look: number) => void;
  readonly onSettle: () => void;
  /** Delete takes it away, where it can be. */
  readonly onRemove?: () => void;
}

/** The place a key moves to; null where it is none of those that move. */
export function lookAfterKey(key: string, look: number, looks: number): number | null {
  const to: Readonly<Record<string, number>> = {
    ArrowLeft: look - 1,
    ArrowDown: look - 1,
    ArrowRight: look + 1,
    ArrowUp: look + 1,
    PageDown: look - PAGE,
    PageUp: look + PAGE,
    Home: 0,
    End: looks - 1,
  };
  const wanted = to[key];
  return wanted === undefined ? null : Math.max(0, Math.min(looks - 1, wanted));
}

export class MomentHandle {
  readonly #node: HTMLElement;
  readonly #options: MomentHandleOptions;
  #steps: readonly number[] = [];
  #step = 0;

  constructor(options: MomentHandleOptions, signal: AbortSignal) {
    this.#options = options;
    this.#node = element("div", {
      class: `iua-moment ${options.class}`,
      attributes: { role: "slider", tabindex: "0", "aria-label": options.name },
    });
    this.#node.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { onMove, onSettle, onRemove } = this.#options;
    const removes = event.key === "Delete" || event.key === "Backspace";
    const here = nearestLook(this.#steps, this.#step);
    const look = lookAfterKey(event.key, here, this.#steps.length);
    if (removes && onRemove !== undefined) onRemove();
    else if (look !== null) {
      // The next key may come before the next frame.
      this.#step = this.#steps[look] ?? this.#step;
      onMove(look);
    } else return;
    onSettle();
    event.preventDefault();
    event.stopPropagation();
  }

  /** `x`: where it stands, in CSS pixels. */
  update(steps: readonly number[], step: number, x: number, words: string): void {
    this.#steps = steps;
    this.#step = step;
    this.#node.style.transform = `translateX(${x}px)`;
    setAttribute(this.#node, "aria-valuemin", String(steps[0] ?? 0));
    setAttribute(this.#node, "aria-valuemax", String(steps.at(-1) ?? 0));
    setAttribute(this.#node, "aria-valuenow", String(step));
    setAttribute(this.#node, "aria-valuetext", words);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
