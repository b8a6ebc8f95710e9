/** Overlays of the picture: the outline of the unit pointed at, and a rectangle being drawn. */

import { element } from "../ui/dom";
import type { Placement } from "../ui/placement";
import { LEAST_MARK } from "./unit_marks";
import type { Point } from "./viewport";

function place(node: HTMLElement, left: number, top: number, width: number, height: number): void {
  node.style.width = `${width}px`;
  node.style.height = `${height}px`;
  node.style.transform = `translate(${left}px, ${top}px)`;
}

export class PictureOverlays {
  readonly #hovered = element("div", { class: "iua-hovered", attributes: { hidden: "" } });
  readonly #region = element("div", { class: "iua-region", attributes: { hidden: "" } });

  /** Outline the unit whose middle is at a point, or none. */
  outline(middle: Point | null, { scaleX, scaleY }: Placement): void {
    this.#hovered.hidden = middle === null;
    if (middle === null) return;
    const width = Math.max(scaleX, LEAST_MARK);
    const height = Math.max(scaleY, LEAST_MARK);
    place(this.#hovered, middle.x - width / 2, middle.y - height / 2, width, height);
  }

  /** Show a rectangle between two corners, or none. */
  showRegion(corners: readonly [Point, Point] | null): void {
    this.#region.hidden = corners === null;
    if (corners === null) return;
    const [a, b] = corners;
    const [width, height] = [Math.abs(a.x - b.x), Math.abs(a.y - b.y)];
    place(this.#region, Math.min(a.x, b.x), Math.min(a.y, b.y), width, height);
  }

  nodes(): HTMLElement[] {
    return [this.#hovered, this.#region];
  }
}
