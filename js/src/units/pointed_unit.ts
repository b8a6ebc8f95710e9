/** The unit under the pointer or the keyboard's cursor, or pointed at in a list: its outline and tooltip. */

import type { Coloring } from "../canvas/levels";
import type { UnitCanvas } from "../canvas/unit_canvas";
import { channelTip, unitTip } from "../canvas/unit_tips";
import type { Point, Size } from "../canvas/viewport";
import type { UnitsInView } from "../reading/units_in_view";
import { type TipText, Tooltip } from "../ui/tooltip";

export class PointedUnit {
  readonly #picture: UnitCanvas;
  readonly #tooltip = new Tooltip();
  /** The units on show; null for none. */
  data: UnitsInView | null = null;
  coloring: Coloring = "share";
  pointer: Point | null = null;
  /** Where the keyboard is. */
  cursor: number | null = null;
  /** In a list. */
  listed: number | null = null;
  /** Of the picture, as last laid out: to ask for it during a step would lay out the page. */
  size: Size = { width: 0, height: 0 };

  constructor(picture: UnitCanvas) {
    this.#picture = picture;
  }

  /** Tooltip and outline for the unit under the pointer or the keyboard's cursor. */
  show(): void {
    const { cursor, pointer, listed } = this;
    const pointed = pointer === null ? null : this.#picture.unitAt(pointer);
    const unit = cursor ?? pointed ?? listed;
    this.#picture.outline(unit);
    const text = unit === null || unit === listed ? null : this.#describe(unit);
    const at = cursor === null ? pointer : this.#picture.centerOf(cursor);
    if (text === null || at === null) this.#tooltip.hide();
    else this.#tooltip.show(text, at.x, at.y, this.size.width, this.size.height);
  }

  #describe(unit: number): TipText | null {
    const { data } = this;
    if (data === null || unit >= data.units.units) return null;
    const pointer = this.cursor === null ? this.pointer : null;
    if (pointer !== null && this.#picture.grain() === "channel") return channelTip(data, unit);
    const shared = pointer === null ? null : this.#picture.sharedAt(pointer);
    return unitTip(data, unit, shared, this.coloring);
  }

  node(): HTMLElement {
    return this.#tooltip.node();
  }
}
