/** The heading of the heatmap: the layer, how many of its units are dead, and of how many. */

import { ShortNames } from "../names/short_names";
import { widthIn } from "../names/text_width";
import { formatCounts } from "../reading/format";
import { sameItems } from "../reading/same_items";
import { deadChannels, maskedNote, shapeWords, unitSummary } from "../reading/unit_words";
import type { UnitsInView } from "../reading/units_in_view";
import { element, setAttribute, setText } from "../ui/dom";
import type { ReadingSurvey } from "./unit_facts";

const BOLD = 600;
/** Of the line, where the summary stands on it, too: as the style sheet has it. */
const SHARE = 0.62;

export class HeatmapHead {
  readonly #name = element("h3", { class: "iua-heatmap-name" });
  readonly #summary = element("span", { class: "iua-heatmap-summary" });
  readonly #title = element("div", { class: "iua-heatmap-title" }, this.#name, this.#summary);
  readonly #node: HTMLElement;
  #names = new ShortNames([]);
  #layer = "";
  #told = "";

  constructor(menu: HTMLElement, signal: AbortSignal) {
    this.#node = element("div", { class: "iua-heatmap-head" }, this.#title, menu);
    const observer = new ResizeObserver(() => this.#fit());
    observer.observe(this.#title);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  get name(): string {
    return this.#layer;
  }

  /** The names from which that of the layer must be told, in the order of the network. */
  tellFrom(names: readonly string[]): void {
    if (sameItems(names, this.#names.names)) return;
    this.#names = new ShortNames(names);
    this.#fit();
  }

  #fit(): void {
    const line = getComputedStyle(this.#title);
    const width = this.#title.clientWidth * (line.flexDirection === "column" ? 1 : SHARE);
    const at = this.#names.names.indexOf(this.#layer);
    const widthOf = widthIn(this.#name, BOLD);
    const whole = at < 0 || width === 0 || widthOf(this.#layer) <= width;
    setText(this.#name, whole ? this.#layer : (this.#names.within(width, widthOf)[at] as string));
  }

  get summary(): string {
    return this.#told;
  }

  #set(name: string, summary: string): void {
    if (name !== this.#layer) {
      this.#layer = name;
      this.#name.title = name;
      setAttribute(this.#name, "aria-label", name);
      this.#fit();
    }
    this.#told = summary;
    setText(this.#summary, summary);
    this.#summary.title = summary;
  }

  update({ units, layer }: UnitsInView, survey: ReadingSurvey): void {
    const dead = `${formatCounts(survey.dead, survey.deadUpper)} dead`;
    const channels = deadChannels(layer);
    const parts = [
      `${dead} of ${unitSummary(layer.meta)}`,
      channels === "" ? "" : `${channels} dead`,
      shapeWords(layer.meta),
      maskedNote(layer.meta),
    ];
    this.#set(units.layer, parts.filter((part) => part !== "").join(" · "));
  }

  /** There are no units to tell of. */
  clear(layer: string): void {
    this.#set(layer, "");
  }

  node(): HTMLElement {
    return this.#node;
  }
}
