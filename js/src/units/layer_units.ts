/** The units of the selected layer: picture, lists and card, kept in step, and what is chosen. */

import type { Coloring } from "../canvas/levels";
import { formatInteger } from "../reading/format";
import type { LayerReading } from "../reading/layer_reading";
import { fromOwnIndex, ownIndex } from "../reading/layout";
import { type Lives, lifeOf } from "../reading/life";
import type { UnitsReading } from "../reading/per_unit_reader";
import { sameItems } from "../reading/same_items";
import type { UnitsSnapshot } from "../reading/snapshot";
import type { Tolerances } from "../reading/threshold";
import { MOST_SELECTED } from "../reading/unit_selection";
import { mostInactive, type UnitsInView } from "../reading/units_in_view";
import type { FactsOfUnit } from "./card_facts";
import { SelectedUnits } from "./selected_units";
import { UnitCard } from "./unit_card";
import { UnitChoice } from "./unit_choice";
import { type ReadingSurvey, sameCounts, UnitFacts } from "./unit_facts";
import { UnitList } from "./unit_list";
import { UnitsPanel } from "./units_panel";

export type UnitsState =
  | { readonly kind: "message"; readonly layer: string; readonly text: string }
  | {
      readonly kind: "units";
      readonly units: UnitsSnapshot;
      readonly reading: UnitsReading;
      readonly layer: LayerReading;
      readonly tolerances: Tolerances;
      readonly rtolStops: readonly number[];
      readonly coloring: Coloring;
      /** Indices in the layer's own order. */
      readonly selected: readonly number[];
      /** Of its units over training, where that is kept. */
      readonly lives: Lives | null;
      /** What the cards of units that are selected tell besides. */
      readonly cards: readonly FactsOfUnit[];
      /** The step of training on show. */
      readonly step: number | null;
    };

type KnownUnits = Extract<UnitsState, { kind: "units" }>;

interface LayerUnitsActions {
  onTolerances(changes: Partial<Tolerances>): void;
  onSettle(): void;
  onColoring(color: Coloring): void;
  /** These units of the layer's own order are selected. */
  onSelect(units: readonly number[]): void;
}

export class LayerUnits {
  readonly heatmap: UnitsPanel;
  readonly list: UnitList;
  readonly selected: SelectedUnits;
  readonly card: UnitCard;
  readonly #actions: LayerUnitsActions;
  readonly #choice = new UnitChoice();
  #facts: UnitFacts | null = null;
  #data: UnitsInView | null = null;
  #survey: ReadingSurvey | null = null;
  #coloring: Coloring = "share";
  #own: readonly number[] = [];
  #lived: Pick<KnownUnits, "lives" | "step" | "cards"> = { lives: null, step: null, cards: [] };
  /** Chosen from outside, of a layer whose units may yet have to come. */
  #wanted: { readonly layer: string; readonly own: readonly number[] } | null = null;

  constructor(actions: LayerUnitsActions, signal: AbortSignal) {
    this.#actions = actions;
    this.heatmap = new UnitsPanel(
      this.#choice,
      {
        onColoring: (color) => actions.onColoring(color),
        onPick: (unit, adds) => this.#choose(() => this.#choice.pick(unit, adds)),
        onTake: (units) => this.#choose(() => this.#choice.take(units)),
        onRegion: (units, total) => this.#addRegion(units, total),
      },
      signal,
    );
    const onPoint = (unit: number | null): void => this.heatmap.pointFromList(unit);
    const pick = (unit: number, change: () => void): void => {
      this.#choose(change);
      this.heatmap.reveal(unit);
    };
    this.list = new UnitList(
      { onPoint, onPick: (unit, adds) => pick(unit, () => this.#choice.pick(unit, adds)) },
      signal,
    );
    const letGo = (): void => this.#choose(() => this.#choice.take([]));
    this.selected = new SelectedUnits(
      {
        onPoint,
        onPick: (unit, adds) =>
          pick(unit, () => (adds ? this.#choice.pick(unit, true) : this.#choice.pin(unit))),
        onClear: letGo,
      },
      signal,
    );
    this.card = new UnitCard(
      {
        onTolerances: (changes) => actions.onTolerances(changes),
        onSettle: () => actions.onSettle(),
        onClose: letGo,
      },
      signal,
    );
  }

  #addRegion(units: readonly number[], total: number): void {
    this.#choose(() => this.#choice.add(units));
    if (total <= units.length) return;
    this.selected.tell(
      `A selection holds ${formatInteger(MOST_SELECTED)} units at most: of ${formatInteger(total)} the first were taken.`,
    );
  }

  /** Change the choice, show it, and tell the host. */
  #choose(change: () => void): void {
    const data = this.#data;
    if (data === null) return;
    change();
    const { shape, channel_axis: axis } = data.units;
    const own = this.#choice.selected.map((unit) => ownIndex(shape, axis, unit));
    if (axis !== 0) own.sort((a, b) => a - b);
    this.#own = own;
    this.selected.tell("");
    this.#showChoice(data);
    this.#actions.onSelect(own);
  }

  /** Select these units of a layer, and show the first of them as soon as they are there. */
  present(layer: string, own: readonly number[]): void {
    this.#wanted = { layer, own };
    this.#actions.onSelect(own);
  }

  #showWanted(layer: string): void {
    const wanted = this.#wanted;
    if (wanted === null || wanted.layer !== layer || !sameItems(wanted.own, this.#own)) return;
    this.#wanted = null;
    const [first] = this.#choice.selected;
    if (first === undefined) return;
    this.#choice.pin(first);
    this.heatmap.reveal(first);
  }

  update(state: UnitsState): void {
    if (state.kind === "units") this.#showUnits(state);
    else this.#showMessage(state.layer, state.text);
  }

  #showMessage(layer: string, text: string): void {
    this.#facts = null;
    this.#data = null;
    this.#survey = null;
    this.#own = [];
    this.#choice.forget();
    this.heatmap.showMessage(layer, text);
    this.list.clear();
    this.selected.clear();
    this.card.clear();
  }

  #showUnits(state: KnownUnits): void {
    const { units, reading, layer, tolerances, rtolStops } = state;
    const before = this.#data;
    const sameLayer = before?.units.layer === units.layer;
    if (this.#facts?.units !== units) this.#facts = new UnitFacts(units);
    const facts = this.#facts;
    const dead = facts.rule(tolerances.dead_at);
    const sameNumbers =
      before?.units === units &&
      sameCounts(before.reading, reading) &&
      before.dead.share === dead.share;
    const coloring = facts.possible(state.coloring);
    const { finite } = facts;
    const changes = facts.changes.read(layer.meta, rtolStops, tolerances);
    const sameChanges = coloring !== "change" || changes === before?.changes;
    const sameColors = sameNumbers && sameChanges && coloring === this.#coloring;
    const data = { units, reading, layer, tolerances, rtolStops, dead, finite, changes };
    this.#lived = { lives: state.lives, step: state.step, cards: state.cards };
    this.#data = data;
    this.#coloring = coloring;
    if (!sameLayer) {
      this.#choice.forget();
      this.#own = [];
    }
    if (!sameNumbers || this.#survey === null) this.#survey = facts.survey(reading, dead);
    this.#readSelection(data, state.selected);
    this.heatmap.show(
      { data, facts, survey: this.#survey, coloring, wanted: state.coloring },
      { sameLayer, sameColors },
    );
    this.#showWanted(units.layer);
    this.#showChoice(data);
  }

  #readSelection({ units }: UnitsInView, own: readonly number[]): void {
    if (sameItems(own, this.#own)) return;
    const { shape, channel_axis: axis } = units;
    const inRange = own.filter((unit) => unit < units.units);
    const selected = inRange.map((unit) => fromOwnIndex(shape, axis, unit));
    if (axis !== 0) selected.sort((a, b) => a - b);
    this.#own = own;
    this.#choice.take(selected);
  }

  #showChoice(data: UnitsInView): void {
    const { pinned } = this.#choice;
    this.heatmap.showChoice();
    const unit = pinned ?? mostInactive(data);
    this.card.update(data, unit, pinned !== null);
    const { lives, step, cards } = this.#lived;
    this.card.showLife(lives && lifeOf(lives, unit, data.tolerances), step);
    const { shape, channel_axis: axis, layer } = data.units;
    const own = ownIndex(shape, axis, unit);
    this.card.showFacts(cards.find((one) => one.layer === layer && one.unit === own) ?? null);
    this.list.update(data, this.#choice);
    this.selected.update(data, this.#choice);
  }
}
