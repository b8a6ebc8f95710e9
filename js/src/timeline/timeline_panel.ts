/** The panel over the steps of training: lines or strip, and the handles of the moments on show. */

import { cssColor, mapColor, themeOf } from "../canvas/color";
import { inksAt } from "../canvas/picture_inks";
import { formatInteger, formatShare } from "../reading/format";
import { type History, nearestLook } from "../reading/history";
import { MEASURES, type Measure, readShares, type Shares } from "../reading/history_reading";
import type { Tolerances } from "../reading/threshold";
import { select } from "../ui/controls";
import { element, setAttribute, setText } from "../ui/dom";
import { Tooltip } from "../ui/tooltip";
import { MomentHandle } from "./moment_handle";
import { TimelineCanvas, type TimelineImage } from "./timeline_canvas";
import type { TimelineKind } from "./timeline_drawing";
import {
  alarmWords,
  layerTip,
  lookWords,
  shareAt,
  stepWords,
  timelineNote,
} from "./timeline_words";

/** More layers than these are a strip at first. */
const MOST_LINES = 24;
/** In pixels: nearer to the second handle than this, the pointer takes that one. */
const GRIP = 7;
const RAMP = 12;
const SOON_MS = 300;
/** From then on the kernel is taken to be busy: some hosts let it hear nothing while a cell runs. */
const BUSY_MS = 3000;
const BUSY = " · comes once the kernel hears of it: it is busy with a cell";

interface TimelineActions {
  /** Show the moment at a step; null follows the newest. */
  readonly onLook: (step: number | null) => void;
  /** Compare with a step; null ends it. */
  readonly onAgainst: (step: number | null) => void;
  readonly onSettle: () => void;
}

interface TimelineState {
  /** Null where there is none to show. */
  readonly history: History | null;
  readonly tolerances: Tolerances;
  readonly layer: string;
  /** The step on show; null for the newest. */
  readonly look: number | null;
  readonly against: number | null;
  /** The step of the figures that have come; null where that is not known. */
  readonly arrived: number | null;
  /** How many looks can be shown, where that is not all. */
  readonly held: number | null;
}

export class TimelinePanel {
  readonly #actions: TimelineActions;
  readonly #canvas: TimelineCanvas;
  readonly #moment: MomentHandle;
  readonly #against: MomentHandle;
  readonly #tip = new Tooltip();
  readonly #step = element("b", { class: "iua-timeline-step" });
  readonly #words = element("span", { class: "iua-timeline-words" });
  readonly #note = element("span", { class: "iua-timeline-note", attributes: { role: "status" } });
  readonly #ramp = element("span", { class: "iua-timeline-ramp" });
  readonly #measureChoice: HTMLSelectElement;
  readonly #kindChoice: HTMLSelectElement;
  readonly #newest = element("button", {
    class: "iua-button iua-tool",
    text: "Newest",
    title: "Show the newest look, and follow those to come",
    attributes: { type: "button" },
  });
  readonly #compare = element("button", {
    class: "iua-button iua-tool",
    text: "Compare",
    title: "Compare with another moment: newly dead and revived units",
    attributes: { type: "button", "aria-pressed": "false" },
  });
  readonly #home: HTMLElement;
  readonly #node: HTMLElement;
  #state: TimelineState | null = null;
  #measure: Measure = "dead";
  /** As it was chosen; null for what suits the number of layers. */
  #chosen: TimelineKind | null = null;
  #read: { history: History; tolerances: Tolerances; measure: Measure; shares: Shares } | null =
    null;
  #dragging: "look" | "against" | null = null;
  /** Whether the moment on show is still to come. */
  #waits = false;
  #late = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(actions: TimelineActions, signal: AbortSignal) {
    this.#actions = actions;
    this.#canvas = new TimelineCanvas(() => this.#place(), signal);
    this.#moment = new MomentHandle(
      {
        name: "moment on show",
        class: "iua-moment-shown",
        onMove: (look) => this.#showLook(look),
        onSettle: actions.onSettle,
      },
      signal,
    );
    this.#against = new MomentHandle(
      {
        name: "moment compared with",
        class: "iua-moment-against",
        onMove: (look) => this.#compareWith(look),
        onSettle: actions.onSettle,
        onRemove: () => actions.onAgainst(null),
      },
      signal,
    );
    this.#measureChoice = select(
      "what the lines stand for",
      MEASURES,
      (measure) => {
        this.#measure = measure;
        this.#show();
      },
      signal,
    );
    this.#kindChoice = select<TimelineKind>(
      "how layers are drawn",
      ["lines", "strip"],
      (kind) => {
        this.#chosen = kind;
        this.#show();
      },
      signal,
    );
    this.#newest.addEventListener("click", () => this.#choose(() => actions.onLook(null)), {
      signal,
    });
    this.#compare.addEventListener("click", () => this.#toggleAgainst(), { signal });
    this.#home = element(
      "div",
      { class: "iua-timeline-home" },
      this.#canvas.node(),
      this.#against.node(),
      this.#moment.node(),
      this.#tip.node(),
    );
    this.#listen(signal);
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
    this.#node = element(
      "section",
      { class: "iua-timeline", attributes: { "aria-label": "over training" } },
      element(
        "div",
        { class: "iua-timeline-head" },
        element("span", { class: "iua-timeline-moment" }, this.#step, this.#words),
        this.#note,
        this.#ramp,
        element(
          "span",
          { class: "iua-tools" },
          this.#newest,
          this.#compare,
          this.#measureChoice,
          this.#kindChoice,
        ),
      ),
      this.#home,
    );
    this.#node.hidden = true;
  }

  // What the user does.

  #choose(change: () => void): void {
    change();
    this.#actions.onSettle();
  }

  #showLook(look: number): void {
    const { history } = this.#state ?? {};
    const step = history?.steps[look];
    if (step === undefined) return;
    // At the right end it goes on with those to come.
    this.#actions.onLook(look === (history?.steps.length ?? 0) - 1 ? null : step);
  }

  #compareWith(look: number): void {
    const step = this.#state?.history?.steps[look];
    if (step !== undefined) this.#actions.onAgainst(step);
  }

  #toggleAgainst(): void {
    const state = this.#state;
    if (state === null || state.history === null) return;
    const [first = null] = state.history.steps;
    this.#choose(() => this.#actions.onAgainst(state.against === null ? first : null));
    if (state.against === null) this.#against.node().focus({ preventScroll: true });
  }

  #listen(signal: AbortSignal): void {
    const home = this.#home;
    const on = <Type extends keyof HTMLElementEventMap>(
      type: Type,
      listener: (event: HTMLElementEventMap[Type]) => void,
    ): void => home.addEventListener(type, listener, { signal });
    on("pointerdown", (event) => {
      if (event.button !== 0 || this.#canvas.drawing === null) return;
      if (event.isTrusted) home.setPointerCapture(event.pointerId);
      const { against } = this.#state ?? {};
      const x = this.#x(event);
      const near = against != null && Math.abs(this.#canvas.drawing.scale.x(against) - x) <= GRIP;
      this.#dragging = near || (event.shiftKey && against != null) ? "against" : "look";
      const handle = this.#dragging === "look" ? this.#moment : this.#against;
      handle.node().focus({ preventScroll: true });
      event.preventDefault();
      this.#drag(x);
    });
    on("pointermove", (event) => {
      if (this.#dragging !== null) this.#drag(this.#x(event));
      this.#point(event);
    });
    on("pointerleave", () => this.#tip.hide());
    for (const type of ["pointerup", "pointercancel"] as const) {
      on(type, () => {
        if (this.#dragging !== null) this.#actions.onSettle();
        this.#dragging = null;
      });
    }
  }

  #x(event: PointerEvent): number {
    return event.clientX - this.#home.getBoundingClientRect().left;
  }

  #drag(x: number): void {
    const look = this.#canvas.drawing?.scale.lookAt(x);
    if (look === undefined) return;
    if (this.#dragging === "against") this.#compareWith(look);
    else this.#showLook(look);
  }

  #point(event: PointerEvent): void {
    const { drawing } = this.#canvas;
    if (drawing === null) return;
    const box = this.#home.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { history, shares, measure } = drawing.content;
    const layer = drawing.layerAt(x, y);
    if (layer < 0) return;
    const text = layerTip(history, shares, measure, drawing.scale.lookAt(x), layer);
    this.#tip.show(text, x, y, box.width, box.height);
  }

  // What is on show.

  update(state: TimelineState): void {
    this.#state = state;
    this.#show();
  }

  /** The step on show and that which it is compared with, where there is a history. */
  #moments(): { readonly look: number; readonly against: number | null } | null {
    const { history, look = null, against = null } = this.#state ?? {};
    const newest = history?.steps.at(-1);
    return newest === undefined ? null : { look: look ?? newest, against };
  }

  #show(): void {
    const { history = null } = this.#state ?? {};
    this.#node.hidden = history === null || history.steps.length === 0;
    const state = this.#state;
    if (history === null || state === null || this.#node.hidden) return;
    const kind = this.#chosen ?? (history.layers.length > MOST_LINES ? "strip" : "lines");
    this.#node.classList.toggle("iua-timeline-strip", kind === "strip");
    const { tolerances } = state;
    const before = this.#read;
    const same =
      before !== null &&
      before.history === history &&
      before.tolerances === tolerances &&
      before.measure === this.#measure;
    const shares = same ? before.shares : readShares(history, tolerances, this.#measure);
    this.#read = { history, tolerances, measure: this.#measure, shares };
    const layer = history.layers.findIndex(({ name }) => name === state.layer);
    const drawn = this.#canvas.drawing?.content;
    if (!same || drawn?.kind !== kind || drawn.layer !== layer) {
      this.#canvas.update({ history, shares, measure: this.#measure, kind, layer });
    }
    if (this.#kindChoice.value !== kind) this.#kindChoice.value = kind;
    this.#showRamp(kind);
    this.#tell(state, history, shares);
    this.#place();
  }

  #tell(state: TimelineState, history: History, shares: Shares): void {
    const moments = this.#moments();
    if (moments === null) return;
    const { look: step, against } = moments;
    const look = nearestLook(history.steps, step);
    const share = formatShare(shareAt(history, shares, look));
    setText(this.#step, `Step ${formatInteger(step)}`);
    const compared = against === null ? "" : ` · against ${stepWords(against)}`;
    const place = state.look === null ? "newest look" : lookWords(history, look);
    const coming = this.#waiting(state.arrived !== null && state.arrived !== step);
    setText(this.#words, `${place}${compared} · ${share} ${this.#measure}${coming}`);
    const alarm = alarmWords(history, step);
    const note = timelineNote(history, state.tolerances, this.#measure, state.held);
    setText(this.#note, alarm === "" ? note : alarm);
    this.#note.title = [alarm, note].filter((text) => text !== "").join("\n");
    this.#note.classList.toggle("iua-timeline-alarm", alarm !== "");
    this.#newest.disabled = state.look === null;
    setAttribute(this.#compare, "aria-pressed", String(against !== null));
  }

  /** Whether the moment is still to come is said once it takes a while; and longer, why. */
  #waiting(waits: boolean): string {
    if (waits === this.#waits) return this.#late;
    this.#waits = waits;
    this.#late = "";
    clearTimeout(this.#timer);
    if (waits) this.#tellLate(" · loading…", SOON_MS);
    return "";
  }

  #tellLate(words: string, after: number): void {
    this.#timer = setTimeout(() => {
      this.#late = words;
      this.#show();
      if (after === SOON_MS) this.#tellLate(BUSY, BUSY_MS);
    }, after);
  }

  /** Put the handles where their moments are. */
  #place(): void {
    const { drawing } = this.#canvas;
    const moments = this.#moments();
    if (drawing === null || moments === null) return;
    const { history } = drawing.content;
    const { look, against } = moments;
    const words = (step: number): string =>
      `${stepWords(step)}, ${lookWords(history, nearestLook(history.steps, step))}`;
    const { steps, scale } = { steps: history.steps, scale: drawing.scale };
    this.#moment.update(steps, look, scale.x(look), words(look));
    this.#against.node().hidden = against === null;
    if (against !== null) this.#against.update(steps, against, scale.x(against), words(against));
  }

  #showRamp(kind: TimelineKind): void {
    this.#ramp.hidden = kind === "lines";
    if (kind === "lines" || this.#ramp.childNodes.length > 0) return;
    const { map, signals } = inksAt(this.#canvas.node(), "blue");
    const theme = themeOf(signals.ground);
    const colors = Array.from({ length: RAMP }, (_, at) =>
      cssColor(mapColor(map, theme, at / (RAMP - 1))),
    );
    const bar = element("span", { class: "iua-timeline-colors" });
    bar.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
    const all = element("span", { class: "iua-timeline-all" });
    all.style.background = cssColor(signals.dead);
    this.#ramp.replaceChildren(
      element("span", { text: "0" }),
      bar,
      element("span", { text: "100 %" }),
      all,
      element("span", { text: "all" }),
    );
  }

  /** Draw again with the colors of the page as they are now. */
  recolor(): void {
    this.#ramp.replaceChildren();
    this.#canvas.recolor();
    this.#show();
  }

  /** As it stands, for a file; null where there is none, or it is not on show. */
  picture(): (TimelineImage & { readonly caption: string }) | null {
    const moments = this.#node.hidden ? null : this.#moments();
    const image = moments && this.#canvas.image(moments.look, moments.against);
    if (image === null) return null;
    const caption = `${this.#step.textContent} · ${this.#words.textContent}`;
    return { ...image, caption };
  }

  node(): HTMLElement {
    return this.#node;
  }
}
