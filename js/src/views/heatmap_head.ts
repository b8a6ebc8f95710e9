/** Above the picture: whose units it shows, how many they are, and how many are dead. */

import { formatBracket, formatInteger } from "../core/format";
import type { ReadingSurvey } from "../core/unit_picture";
import { deadChannels, maskedNote, unitSummary } from "../core/unit_words";
import type { UnitsInView } from "../core/units_in_view";
import { element, setText } from "./dom";

export class HeatmapHead {
  readonly #name = element("h3", { class: "iua-heatmap-name" });
  readonly #summary = element("span", { class: "iua-heatmap-summary" });
  readonly #node: HTMLElement;

  constructor(menu: HTMLElement) {
    this.#node = element(
      "div",
      { class: "iua-heatmap-head" },
      element("div", { class: "iua-heatmap-title" }, this.#name, this.#summary),
      menu,
    );
  }

  get name(): string {
    return this.#name.textContent ?? "";
  }

  get summary(): string {
    return this.#summary.textContent ?? "";
  }

  #set(name: string, summary: string): void {
    setText(this.#name, name);
    this.#name.title = name;
    setText(this.#summary, summary);
    this.#summary.title = summary;
  }

  update({ units, layer }: UnitsInView, survey: ReadingSurvey): void {
    const dead = `${formatBracket(survey.dead, survey.deadUpper, formatInteger)} dead`;
    const channels = deadChannels(layer);
    const parts = [
      unitSummary(layer.meta),
      dead,
      channels === "" ? "" : `${channels} dead`,
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
