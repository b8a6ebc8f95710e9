/**
 * Which rows are shown, by one line of text. Python filters by the same rule, tested on the same
 * cases (tests/fixtures/table_rules.json). Parts are set apart by blanks, and all must hold:
 *
 * - a word must occur in the name or the kind, where ASCII letters compare without case; quoted, it
 *   may hold blanks and is taken literally: `"block 1"`;
 * - `kind:ReLU` or `kind:"My kind"` must be the kind; of several, one must;
 * - `dead>0`, `dead-share>=50%`, `units<100` compare a figure, by its lower bound. A row without
 *   the figure is left out.
 */

import type { NumericKey } from "./columns";
import { asciiLower } from "./row_order";

type Comparison = "<" | "<=" | "=" | ">=" | ">";
type Figure = Exclude<NumericKey, "curve">;

export interface FigureTest {
  readonly figure: Figure;
  readonly comparison: Comparison;
  readonly value: number;
}

export interface RowFilter {
  readonly words: readonly string[];
  readonly kinds: readonly string[];
  readonly tests: readonly FigureTest[];
}

const PART = /(kind:)?(?:"([^"]*)"?|([^ \t\r\n]+))/g;
const TEST =
  /^(units|mean|share|std|dead|dead-share|dormant)(<=|>=|<|>|=)([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)(%?)$/;

export const HAS_DEAD = "dead>0";

interface Part {
  readonly text: string;
  readonly kind: boolean;
  readonly test: FigureTest | null;
  /** As it was written. */
  readonly source: string;
}

function parts(filter: string): Part[] {
  return Array.from(filter.matchAll(PART), ([source, kind, quoted, bare]) => {
    const text = quoted ?? bare ?? "";
    const test = kind === undefined && bare !== undefined ? asTest(bare) : null;
    return { text, kind: kind !== undefined, test, source };
  });
}

function asTest(text: string): FigureTest | null {
  const [, figure, comparison, number, percent] = TEST.exec(text) ?? [];
  if (figure === undefined) return null;
  return {
    figure: figure as Figure,
    comparison: comparison as Comparison,
    value: percent === "%" ? Number(number) / 100 : Number(number),
  };
}

export function parseFilter(filter: string): RowFilter {
  const all = parts(filter).filter((part) => part.text !== "");
  return {
    words: all
      .filter((part) => !part.kind && part.test === null)
      .map((part) => asciiLower(part.text)),
    kinds: all.filter((part) => part.kind).map((part) => asciiLower(part.text)),
    tests: all.flatMap((part) => part.test ?? []),
  };
}

function holds({ comparison, value }: FigureTest, figure: number): boolean {
  switch (comparison) {
    case "<":
      return figure < value;
    case "<=":
      return figure <= value;
    case "=":
      return figure === value;
    case ">=":
      return figure >= value;
    case ">":
      return figure > value;
  }
}

/** Whether a row is shown; `figure` gives NaN where the row has none. */
export function passes(
  filter: RowFilter,
  name: string,
  kind: string,
  figure: (key: Figure) => number,
): boolean {
  const small = asciiLower(kind);
  if (filter.kinds.length > 0 && !filter.kinds.includes(small)) return false;
  if (filter.words.length > 0) {
    const named = asciiLower(name);
    if (!filter.words.every((word) => named.includes(word) || small.includes(word))) return false;
  }
  return filter.tests.every((test) => holds(test, figure(test.figure)));
}

/** The one kind a filter asks for, or "" where it asks for none or for several. */
export function filteredKind(filter: string): string {
  const { kinds } = parseFilter(filter);
  return kinds.length === 1 ? (kinds[0] as string) : "";
}

/** The filter with this kind, or with none for "". */
export function withKind(filter: string, kind: string): string {
  const kept = parts(filter).flatMap((part) => (part.kind ? [] : [part.source]));
  if (kind !== "") kept.push(/[ \t\r\n]/.test(kind) ? `kind:"${kind}"` : `kind:${kind}`);
  return kept.join(" ");
}

export function hasTest(filter: string, test: string): boolean {
  return parts(filter).some((part) => part.test !== null && part.source === test);
}

/** The filter with a test such as "dead>0", or without it. */
export function withTest(filter: string, test: string, on: boolean): string {
  const kept = parts(filter).flatMap(({ source }) => (source === test ? [] : [source]));
  if (on) kept.push(test);
  return kept.join(" ");
}
