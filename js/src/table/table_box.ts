/** The box that the table scrolls in: its sizes, how far it is scrolled, and which rows are in view. */

import type { WidthOf } from "../names/short_names";
import { widthIn } from "../names/text_width";
import { element, setVariable } from "../ui/dom";
import { type RowWindow, rowWindow, scrollFor } from "./row_window";

const ROW_EM = 2.62;
/** Where a few layers leave room in the pane, their rows take it, up to so many times their height. */
const TALLEST = 2;
const BOLD = 600;
const NORMAL = 400;
/** Rows made above and below those in view. */
const AROUND = 6;
const PRINTED_ROWS = 400;
/** Between the margins of A4 and of Letter, and the view's own. */
const PAPER_WIDTH = 680;
const PROBE_DIGITS = 20;
const PROBE_EMS = 5;

interface TableBoxActions {
  onScroll(): void;
  /** The box or its type has another size: it is to be measured. */
  onResize(): void;
  /** It is about to be printed, or was. */
  onPrint(): void;
}

export class TableBox {
  readonly #table: HTMLTableElement;
  readonly #scroller: HTMLElement;
  readonly #ruler = element("span", { class: "iua-ruler", attributes: { "aria-hidden": "true" } });
  readonly #node: HTMLElement;
  #digit = 0;
  #widthIn: (bold: boolean) => WidthOf = () => (text) => text.length;
  #rowHeight = 0;
  #viewHeight = 0;
  /** The scroller's scrollTop, kept because to ask for it makes the browser lay out the page. */
  #scrolled = 0;
  #printing = false;

  /** `over` are nodes that lie over the table. */
  constructor(
    table: HTMLTableElement,
    over: readonly HTMLElement[],
    actions: TableBoxActions,
    signal: AbortSignal,
  ) {
    this.#table = table;
    this.#scroller = element("div", { class: "iua-table-box" }, table);
    this.#node = element("div", { class: "iua-table-home" }, this.#scroller, ...over, this.#ruler);
    this.#scroller.addEventListener(
      "scroll",
      () => {
        this.#scrolled = this.#scroller.scrollTop;
        actions.onScroll();
      },
      { signal },
    );
    // What is printed has no scrolling: its rows are made beforehand, in columns that fit the paper.
    for (const [name, printing] of [
      ["beforeprint", true],
      ["afterprint", false],
    ] as const) {
      window.addEventListener(
        name,
        () => {
          this.#printing = printing;
          actions.onPrint();
        },
        { signal },
      );
    }
    this.#followSize(actions.onResize, signal);
  }

  #followSize(onResize: () => void, signal: AbortSignal): void {
    let frame = 0;
    const observer = new ResizeObserver(() => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(onResize);
    });
    observer.observe(this.#scroller);
    observer.observe(this.#ruler);
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        cancelAnimationFrame(frame);
      },
      { once: true },
    );
  }

  /** Of a digit, in pixels; 0 before the box is measured. */
  get digit(): number {
    return this.#digit;
  }

  /** How wide a text is in a row, bold or not. */
  get widthIn(): (bold: boolean) => WidthOf {
    return this.#widthIn;
  }

  get rowHeight(): number {
    return this.#rowHeight;
  }

  /** What the columns may take: on paper its width. */
  get width(): number {
    return this.#printing ? PAPER_WIDTH : this.#scroller.clientWidth;
  }

  /** Rows that a page has. */
  get page(): number {
    return Math.max(1, Math.floor(this.#viewHeight / this.#rowHeight) - 1);
  }

  get isMeasured(): boolean {
    return this.#viewHeight > 0;
  }

  /** Read the sizes, for this many layers; false while the box is not laid out. */
  measure(layers: number): boolean {
    const ruler = this.#ruler.getBoundingClientRect();
    if (ruler.height === 0) return false;
    this.#digit = ruler.width / PROBE_DIGITS;
    const [bold, normal] = [widthIn(this.#ruler, BOLD), widthIn(this.#ruler, NORMAL)];
    this.#widthIn = (isBold) => (isBold ? bold : normal);
    const head = this.#table.tHead?.offsetHeight ?? 0;
    const room = this.#scroller.clientHeight - head;
    const least = Math.round((ruler.height / PROBE_EMS) * ROW_EM);
    this.#rowHeight = this.#heightOfRows(room, least, layers);
    this.#viewHeight = Math.max(0, room - this.#rowHeight);
    setVariable(this.#node, "--iua-row-height", `${this.#rowHeight}px`);
    return true;
  }

  /** The rows of few layers, and that of totals, fill the pane where it has a height of its own. */
  #heightOfRows(room: number, least: number, layers: number): number {
    if (layers === 0 || this.#node.closest(".iua-wide") === null) return least;
    return Math.max(least, Math.min(TALLEST * least, room / (layers + 1)));
  }

  /** Those of `rows` rows that are to be made. */
  inView(rows: number): RowWindow {
    if (this.#printing) return { first: 0, end: Math.min(rows, PRINTED_ROWS) };
    return rowWindow(this.#scrolled, this.#viewHeight, this.#rowHeight, rows, AROUND);
  }

  /** A row while it is in view, or else the first that is. */
  nearestInView(row: number): number {
    const height = Math.max(1, this.#rowHeight);
    const first = Math.ceil(this.#scrolled / height);
    const end = first + Math.floor(this.#viewHeight / height);
    return row >= first && row < end ? row : first;
  }

  /** Bring a row into view without moving the page. */
  scrollTo(row: number): void {
    const to = scrollFor(row, this.#rowHeight, this.#scrolled, this.#viewHeight);
    if (to === this.#scrolled) return;
    this.#scroller.scrollTop = to;
    this.#scrolled = this.#scroller.scrollTop;
  }

  /** Back to where it was before the browser scrolled. */
  scrollBack(): void {
    this.#scroller.scrollTop = this.#scrolled;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
