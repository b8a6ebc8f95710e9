/** Draws the saved picture as SVG: table, curve, heatmap and legend. */

export interface PictureRow {
  readonly name: string;
  readonly units: string;
  readonly share: string;
  /** The bar, from 0 to 1: what is sure, and what may be. */
  readonly lower: number;
  readonly upper: number;
  readonly dead: string;
  /** What died and what revived, where the layers are compared with another result. */
  readonly changes: readonly [string, string] | null;
  readonly alarm: boolean;
  readonly selected: boolean;
}

export interface PictureCurve {
  readonly name: string;
  /** Shares of one, at stops that are evenly apart. */
  readonly shares: readonly number[];
  /** Where the tolerance on show lies among the stops, from 0 to 1; null where at none. */
  readonly at: number | null;
  readonly from: string;
  readonly to: string;
}

export type LegendMark =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "swatch"; readonly color: string }
  | { readonly kind: "ring"; readonly color: string }
  | { readonly kind: "ramp"; readonly colors: readonly string[] };

export interface PictureHeatmap {
  readonly name: string;
  readonly summary: string;
  /** A data URL. */
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly legend: readonly (readonly LegendMark[])[];
}

/** Over the steps of training. */
export interface PictureTimeline {
  readonly caption: string;
  /** A data URL. */
  readonly image: string;
  readonly width: number;
  readonly height: number;
}

export interface PictureColors {
  readonly ground: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly bar: string;
  readonly barUpper: string;
  readonly barRest: string;
  readonly accent: string;
  readonly dead: string;
  readonly font: string;
}

export interface Picture {
  readonly title: string;
  /** Set under the title, on as many lines as it takes. */
  readonly text: string;
  readonly lines: readonly string[];
  readonly rows: readonly PictureRow[];
  /** What all names share, where the rows leave it out; else empty. */
  readonly shared: string;
  /** Of rows that are left out. */
  readonly more: string;
  readonly curve: PictureCurve | null;
  readonly timeline: PictureTimeline | null;
  readonly heatmap: PictureHeatmap | null;
  readonly colors: PictureColors;
}

export interface DrawnPicture {
  readonly svg: string;
  readonly width: number;
  readonly height: number;
}

/** What the name of a layer may take, in pixels: in the table, and in a heading. */
export const NAME_ROOM = 250;
export const HEADING_ROOM = 380;
export const NAME_SIZE = 13;
const MARGIN = 28;
const GAP = 32;
const ROW = 24;
const TABLE = 600;
const HEATMAP = 560;
const CURVE = 120;
const NARROW_LETTERS = new Set("iljtfr.,:;'|!()[] ");

/** About how wide a text is: a picture is drawn without a page to measure in. */
export function textWidth(text: string, size: number): number {
  let ems = 0;
  for (const letter of text) {
    if (NARROW_LETTERS.has(letter)) ems += 0.33;
    else if (letter.codePointAt(0) !== undefined && (letter.codePointAt(0) as number) > 0x2e7f) {
      ems += 1.05;
    } else if ("%×m".includes(letter)) ems += 0.95;
    else if (letter >= "A" && letter <= "Z") ems += 0.72;
    else ems += 0.58;
  }
  return ems * size;
}

/** The start and the end of a text that is too long, since names differ at their end. */
export function fitText(text: string, size: number, width: number): string {
  if (textWidth(text, size) <= width) return text;
  const letters = [...text];
  for (let kept = letters.length - 1; kept > 1; kept--) {
    const head = Math.ceil(kept * 0.4);
    const short = `${letters.slice(0, head).join("")}…${letters.slice(head - kept).join("")}`;
    if (textWidth(short, size) <= width) return short;
  }
  return "…";
}

/** A text on lines that are no longer than `width`, words kept whole. */
export function wrapText(text: string, size: number, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter((word) => word !== "")) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && textWidth(longer, size) <= width) lines[lines.length - 1] = longer;
    else lines.push(fitText(word, size, width));
  }
  return lines;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escapeXml(text: string): string {
  return text
    .replace(/[&<>"]/g, (sign) => ENTITIES[sign] as string)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}

type Attributes = Readonly<Record<string, string | number>>;

function tag(name: string, attributes: Attributes, content = ""): string {
  const written = Object.entries(attributes).map(
    ([key, value]) =>
      ` ${key}="${escapeXml(typeof value === "number" ? String(Math.round(value * 100) / 100) : value)}"`,
  );
  return content === ""
    ? `<${name}${written.join("")}/>`
    : `<${name}${written.join("")}>${content}</${name}>`;
}

class Sheet {
  readonly #parts: string[] = [];
  readonly #colors: PictureColors;

  constructor(colors: PictureColors) {
    this.#colors = colors;
  }

  add(name: string, attributes: Attributes): void {
    this.#parts.push(tag(name, attributes));
  }

  box(x: number, y: number, width: number, height: number, fill: string, more: Attributes = {}) {
    if (width > 0) this.add("rect", { x, y, width, height, fill, ...more });
  }

  text(text: string, x: number, y: number, size = 13, more: Attributes = {}): void {
    if (text === "") return;
    const attributes = { x, y, "font-size": size, fill: this.#colors.text, ...more };
    this.#parts.push(tag("text", attributes, escapeXml(text)));
  }

  toString(): string {
    return this.#parts.join("\n");
  }
}

/** Of a column of what died, or revived. */
const CHANGE = 88;

function isCompared({ rows }: Picture): boolean {
  return rows.some(({ changes }) => changes !== null);
}

function tableWidth(picture: Picture): number {
  return isCompared(picture) ? TABLE + 2 * CHANGE : TABLE;
}

function drawTable(sheet: Sheet, picture: Picture, left: number, top: number): number {
  const { colors, rows } = picture;
  const width = tableWidth(picture);
  const right = { "text-anchor": "end" };
  const columns = { units: left + 330, bar: left + 346, share: left + 506, dead: left + TABLE };
  const muted = { fill: colors.muted };
  const heading = picture.shared === "" ? "layer" : `layer: ${picture.shared}`;
  sheet.text(fitText(heading, 12, NAME_ROOM), left, top, 12, muted);
  sheet.text("units", columns.units, top, 12, { ...right, ...muted });
  sheet.text("inactive share", columns.share, top, 12, { ...right, ...muted });
  sheet.text("dead", columns.dead, top, 12, { ...right, ...muted });
  if (isCompared(picture)) {
    sheet.text("newly dead", columns.dead + CHANGE, top, 12, { ...right, ...muted });
    sheet.text("revived", columns.dead + 2 * CHANGE, top, 12, { ...right, ...muted });
  }
  let y = top + 8;
  for (const row of rows) {
    sheet.add("line", { x1: left, x2: left + width, y1: y, y2: y, stroke: colors.line });
    const base = y + ROW * 0.68;
    if (row.selected) sheet.box(left - 8, y + 3, 3, ROW - 6, colors.accent);
    const weight = row.selected ? { "font-weight": 600 } : {};
    sheet.text(row.name, left, base, NAME_SIZE, weight);
    sheet.text(row.units, columns.units, base, 13, right);
    const bar = { rx: 2 };
    sheet.box(columns.bar, y + 8, 76, ROW - 16, colors.barRest, bar);
    sheet.box(columns.bar, y + 8, 76 * row.upper, ROW - 16, colors.barUpper, bar);
    sheet.box(columns.bar, y + 8, 76 * row.lower, ROW - 16, colors.bar, bar);
    sheet.text(row.share, columns.share, base, 13, right);
    const alarm = row.alarm ? { fill: colors.dead, "font-weight": 600 } : {};
    sheet.text(row.dead, columns.dead, base, 13, { ...right, ...alarm });
    for (const [at, change] of (row.changes ?? []).entries()) {
      sheet.text(change, columns.dead + (at + 1) * CHANGE, base, 13, right);
    }
    y += ROW;
  }
  sheet.add("line", { x1: left, x2: left + width, y1: y, y2: y, stroke: colors.line });
  if (picture.more !== "") {
    sheet.text(picture.more, left, y + 18, 12, muted);
    y += ROW;
  }
  return y;
}

function drawCurve(
  sheet: Sheet,
  curve: PictureCurve,
  colors: PictureColors,
  left: number,
  top: number,
): number {
  const muted = { fill: colors.muted };
  const axis = left + 44;
  const width = TABLE - 44;
  const heading = `inactive share of ${curve.name} over the threshold`;
  sheet.text(fitText(heading, 12, TABLE), left, top, 12, muted);
  const box = top + 12;
  for (const [share, label] of [
    [0, "0 %"],
    [0.5, "50 %"],
    [1, "100 %"],
  ] as const) {
    const y = box + (1 - share) * CURVE;
    sheet.add("line", { x1: axis, x2: axis + width, y1: y, y2: y, stroke: colors.line });
    sheet.text(label, axis - 8, y + 4, 11, { "text-anchor": "end", ...muted });
  }
  const step = width / Math.max(1, curve.shares.length - 1);
  const points = curve.shares.map(
    (share, at) => `${(axis + at * step).toFixed(1)},${(box + (1 - share) * CURVE).toFixed(1)}`,
  );
  sheet.add("polyline", {
    points: points.join(" "),
    fill: "none",
    stroke: colors.bar,
    "stroke-width": 2,
  });
  if (curve.at !== null) {
    const x = axis + curve.at * width;
    sheet.add("line", { x1: x, x2: x, y1: box, y2: box + CURVE, stroke: colors.accent });
  }
  sheet.text(curve.from, axis, box + CURVE + 16, 11, muted);
  sheet.text(curve.to, axis + width, box + CURVE + 16, 11, { "text-anchor": "end", ...muted });
  return box + CURVE + 24;
}

function drawLegend(
  sheet: Sheet,
  legend: PictureHeatmap["legend"],
  colors: PictureColors,
  left: number,
  top: number,
): number {
  let y = top;
  for (const [index, marks] of legend.entries()) {
    let x = left;
    for (const mark of marks) {
      if (mark.kind === "text") {
        sheet.text(mark.text, x, y, 12);
        x += textWidth(mark.text, 12) + 8;
      } else if (mark.kind === "swatch") {
        sheet.box(x, y - 10, 12, 12, mark.color, { rx: 2, stroke: colors.line });
        x += 20;
      } else if (mark.kind === "ring") {
        const stroke = { stroke: mark.color, "stroke-width": 2 };
        sheet.add("circle", { cx: x + 6, cy: y - 4, r: 4.5, fill: "none", ...stroke });
        x += 20;
      } else {
        const id = `ramp${index}`;
        const last = Math.max(1, mark.colors.length - 1);
        for (const [at, color] of mark.colors.entries()) {
          sheet.box(x + (at * 116) / (last + 1), y - 10, 116 / (last + 1) + 0.5, 11, color, {
            class: id,
          });
        }
        x += 124;
      }
    }
    y += 20;
  }
  return y;
}

function drawHeatmap(
  sheet: Sheet,
  heatmap: PictureHeatmap,
  colors: PictureColors,
  left: number,
  top: number,
): number {
  sheet.text(fitText(heatmap.name, 14, HEATMAP), left, top, 14, { "font-weight": 600 });
  sheet.text(fitText(heatmap.summary, 12, HEATMAP), left, top + 18, 12, { fill: colors.muted });
  const scale = Math.min(HEATMAP / heatmap.width, HEATMAP / heatmap.height);
  const width = heatmap.width * scale;
  const height = heatmap.height * scale;
  sheet.add("image", { x: left, y: top + 30, width, height, href: heatmap.image });
  return drawLegend(sheet, heatmap.legend, colors, left, top + 30 + height + 20);
}

function drawTimeline(
  sheet: Sheet,
  { caption, image, width, height }: PictureTimeline,
  content: number,
  top: number,
): number {
  sheet.text(fitText(caption, 13, content), MARGIN, top, 13, { "font-weight": 600 });
  const high = (height * content) / width;
  sheet.add("image", { x: MARGIN, y: top + 12, width: content, height: high, href: image });
  return top + 12 + high + 38;
}

export function drawPicture(picture: Picture): DrawnPicture {
  const { colors, heatmap, curve, rows } = picture;
  const sheet = new Sheet(colors);
  const hasTable = rows.length > 0 || curve !== null;
  const table = tableWidth(picture);
  const columns =
    (hasTable ? table : 0) + (hasTable && heatmap ? GAP : 0) + (heatmap ? HEATMAP : 0);
  const content = Math.max(columns, table);
  let top = MARGIN + 16;
  sheet.text(fitText(picture.title, 19, content), MARGIN, top, 19, { "font-weight": 600 });
  for (const line of wrapText(picture.text, 14, content)) {
    top += 21;
    sheet.text(line, MARGIN, top, 14);
  }
  for (const line of picture.lines) {
    top += 21;
    sheet.text(fitText(line, 13, content), MARGIN, top, 13, { fill: colors.muted });
  }
  top += 38;
  if (picture.timeline !== null) top = drawTimeline(sheet, picture.timeline, content, top);
  let bottom = top;
  if (hasTable) {
    let y = rows.length > 0 ? drawTable(sheet, picture, MARGIN, top) + 34 : top;
    if (curve !== null) y = drawCurve(sheet, curve, colors, MARGIN, y);
    bottom = y;
  }
  if (heatmap !== null) {
    const left = MARGIN + (hasTable ? table + GAP : 0);
    bottom = Math.max(bottom, drawHeatmap(sheet, heatmap, colors, left, top));
  }
  const width = content + 2 * MARGIN;
  const height = Math.ceil(bottom + MARGIN);
  const svg = tag(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      "font-family": colors.font,
    },
    `\n<title>${escapeXml(picture.title)}</title>\n${tag("rect", { width, height, fill: colors.ground })}\n${sheet}\n`,
  );
  return { svg, width, height };
}
