/**
 * The filter of rows, one line of text. Python filters by the same rule, tested on the same
 * cases (tests/fixtures/table_rules.json). Parts are set apart by blanks, and all must hold:
 *
 * - a word must occur in the name or the kind, where ASCII letters compare without case; quoted, it
 *   may hold blanks and is taken literally: `"block 1"`;
 * - `kind:ReLU` or `kind:"My kind"` must be the kind; of several, one must;
 * - `dead-units>0`, `dead channels >= 3`, `dead-share>=50%` compare a figure, by its lower bound, and
 *   `unit=token` a text. A row without the figure is left out.
 *
 * What compares something else is at fault, and says so; in quotes it is a word.
 */

import {
  FIGURE_KEYS,
  type FigureKey,
  findFigure,
  isShare,
  isText,
  type NumericKey,
  type TextKey,
} from "../reading/columns";
import { asciiLower } from "../reading/row_order";

type Comparison = "<" | "<=" | "=" | "!=" | ">=" | ">";

type FigureTest =
  | { readonly figure: NumericKey; readonly comparison: Comparison; readonly value: number }
  | { readonly figure: TextKey; readonly comparison: "=" | "!="; readonly value: string };

export interface RowFilter {
  readonly words: readonly string[];
  readonly kinds: readonly string[];
  readonly tests: readonly FigureTest[];
  /** Why the text cannot be a filter, in a line; empty where it can. */
  readonly fault: string;
  /** What there is to compare, and how: all of it. */
  readonly help: string;
}

const TOKEN = /"([^"]*)"?|(!?[<>=≤≥≠]+)|((?:[^ \t\r\n"<>=≤≥≠!]|!(?![<>=≤≥≠]))+)/g;
const NUMBER = /^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(%?)$/;
const COMPARISONS: ReadonlyMap<string, Comparison> = new Map([
  ["<", "<"],
  ["<=", "<="],
  ["≤", "<="],
  ["=", "="],
  ["==", "="],
  ["!=", "!="],
  ["≠", "!="],
  [">=", ">="],
  ["≥", ">="],
  [">", ">"],
]);
const KIND = "kind:";
const WORDS_OF_A_HEADING = 3;
const NEAREST = 3;
const BRIEF = 24;
const SHORT = 2;

export const HAS_DEAD = "dead-units>0";

interface Token {
  /** What is in the quotes, where there are any. */
  readonly text: string;
  readonly sign: string;
  readonly quoted: boolean;
  readonly start: number;
  readonly end: number;
}

interface Part {
  readonly text: string;
  readonly kind: boolean;
  readonly test: FigureTest | null;
  readonly fault: string;
  readonly help: string;
  /** As it was written. */
  readonly source: string;
  readonly start: number;
}

function tokensOf(filter: string): Token[] {
  return Array.from(filter.matchAll(TOKEN), (match) => {
    const [source, quoted, sign = "", bare = ""] = match;
    const start = match.index;
    const text = quoted ?? bare;
    return { text, sign, quoted: quoted !== undefined, start, end: start + source.length };
  });
}

function partsOf(filter: string): Part[] {
  const tokens = tokensOf(filter);
  const parts: Part[] = [];
  const part = (start: number, end: number, changes: Partial<Part>): void => {
    const source = filter.slice(start, end);
    parts.push({
      text: "",
      kind: false,
      test: null,
      fault: "",
      help: "",
      source,
      start,
      ...changes,
    });
  };
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as Token;
    const next = tokens[at + 1];
    if (token.sign !== "") {
      const value = next === undefined || next.sign !== "" ? undefined : next;
      if (value !== undefined) at++;
      const [figure, name, start] = takeSubject(parts, token.start);
      const end = value?.end ?? token.end;
      const test = asTest(figure, name, token.sign, value?.text ?? "");
      if ("figure" in test) part(start, end, { test });
      else part(start, end, { fault: test.what, help: helpAt(filter.slice(start, end), test) });
    } else if (token.text === KIND && !token.quoted && next?.quoted && next.start === token.end) {
      at++;
      part(token.start, next.end, { text: next.text, kind: true });
    } else if (!token.quoted && token.text.startsWith(KIND) && token.text !== KIND) {
      part(token.start, token.end, { text: token.text.slice(KIND.length), kind: true });
    } else part(token.start, token.end, { text: token.text });
  }
  return parts;
}

/** What is compared: the heading of a column, in several words, or the last word; and taken away. */
function takeSubject(parts: Part[], at: number): [FigureKey | undefined, string, number] {
  const lastOther = parts.findLastIndex(
    ({ kind, test, fault }) => kind || test !== null || fault !== "",
  );
  const words = parts.slice(lastOther + 1);
  for (let several = Math.min(WORDS_OF_A_HEADING, words.length); several > 0; several--) {
    const subject = words.slice(-several);
    if (several > 1 && subject.some(({ source }) => source.startsWith('"'))) continue;
    const name = subject.map(({ text }) => text).join(" ");
    const figure = findFigure(name);
    if (figure === undefined && several > 1) continue;
    parts.length -= several;
    return [figure, name, (subject[0] as Part).start];
  }
  return [undefined, "", at];
}

interface Fault {
  readonly what: string;
  /** Figures with names near to this one are named first. */
  readonly near: string;
}

/** The test, or why there is none. */
function asTest(
  figure: FigureKey | undefined,
  name: string,
  sign: string,
  written: string,
): FigureTest | Fault {
  const fault = (what: string, near = name): Fault => ({ what, near });
  if (figure === undefined) {
    if (name === "") return fault(`Nothing stands before “${sign}”: write dead-units>0, say.`);
    const [nearest] = nearestFigures(name);
    const hint = nearest === undefined ? "In quotes it is a word." : `Is it ${nearest}?`;
    return fault(`No figure is called “${brief(name)}”. ${hint}`);
  }
  const comparison = COMPARISONS.get(sign);
  if (comparison === undefined) {
    return fault(`“${sign}” compares nothing: write <, <=, =, !=, >= or >.`);
  }
  if (isText(figure)) {
    return (comparison === "=" || comparison === "!=") && written !== ""
      ? { figure, comparison, value: textAsCompared(figure, written) }
      : fault(`${figure} is a text: write ${figure}=…`);
  }
  const [, number, percent] = NUMBER.exec(written) ?? [];
  if (number === undefined) {
    const what = written === "" ? "nothing" : `“${brief(written)}”, which is no number`;
    return fault(`${figure} is compared with ${what}.`);
  }
  if (percent !== "%") return { figure, comparison, value: Number(number) };
  return isShare(figure)
    ? { figure, comparison, value: Number(number) / 100 }
    : fault(
        `${figure} is no share, to be compared with ${brief(written)}.`,
        `${figure.replace("-units", "")}-share`,
      );
}

function brief(text: string): string {
  return text.length > BRIEF ? `${text.slice(0, BRIEF - 1)}…` : text;
}

function helpAt(source: string, { near }: Fault): string {
  return (
    `Figures are ${nearestFirst(near).join(", ")}; they are ` +
    "compared by <, <=, =, !=, >= or > with a number, shares also with a percentage. " +
    `What is looked for in names goes into double quotes: "${source}".`
  );
}

const FIGURES = FIGURE_KEYS.filter((key): key is NumericKey => !isText(key));

/** Figures that may have been meant: their names, or a word of them, come near; nearest first. */
function nearestFigures(name: string): NumericKey[] {
  const given = name.toLowerCase();
  const far = FIGURES.map((key) => {
    const whole = distance(given, key);
    return {
      key,
      whole,
      least: Math.min(whole, ...wordsOf(key).map((word) => distance(given, word))),
    };
  });
  return far
    .filter(({ least }) => least <= 0.5)
    .sort((one, other) => one.least - other.least || one.whole - other.whole)
    .slice(0, NEAREST)
    .map(({ key }) => key);
}

/** The words of a name, but those that are like too many others, such as "in". */
function wordsOf(key: NumericKey): string[] {
  return key.split("-").filter((word) => word.length > SHORT);
}

/** The figures there are, those with names nearest to this one at the head. */
function nearestFirst(name: string): NumericKey[] {
  const near = nearestFigures(name);
  return [...near, ...FIGURES.filter((key) => !near.includes(key))];
}

/** How far two names are apart: edits a letter. */
function distance(one: string, other: string): number {
  return editsBetween(one, other) / Math.max(one.length, other.length);
}

/** How many letters must be put in, left out or changed to come from one text to another. */
function editsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let line = 1; line <= one.length; line++) {
    const above = row;
    row = [line];
    for (let column = 1; column <= other.length; column++) {
      const same = Number(one[line - 1] !== other[column - 1]);
      row.push(
        Math.min(
          (row[column - 1] as number) + 1,
          (above[column] as number) + 1,
          (above[column - 1] as number) + same,
        ),
      );
    }
  }
  return row[other.length] as number;
}

/** Take a line of text apart. Where it cannot be a filter, `fault` says why. */
export function parseFilter(filter: string): RowFilter {
  const all = partsOf(filter);
  const faulty = all.find((part) => part.fault !== "");
  const texts = (kind: boolean): string[] =>
    all.flatMap((part) => (part.kind === kind && part.text !== "" ? [asciiLower(part.text)] : []));
  return {
    words: texts(false),
    kinds: texts(true),
    tests: all.flatMap((part) => part.test ?? []),
    fault: faulty?.fault ?? "",
    help: faulty?.help ?? "",
  };
}

function holds<Value>(comparison: Comparison, figure: Value, value: Value): boolean {
  switch (comparison) {
    case "<":
      return figure < value;
    case "<=":
      return figure <= value;
    case "=":
      return figure === value;
    case "!=":
      return figure !== value;
    case ">=":
      return figure >= value;
    case ">":
      return figure > value;
  }
}

/** A text, small; a shape as "64x56x56", also where it is written "(64, 56, 56)". */
function textAsCompared(key: TextKey, text: string): string {
  const small = asciiLower(text);
  if (key !== "shape") return small;
  const lengths = small.replace(/[ ()]/g, "").replace(/[×,]/g, "x");
  return lengths.replace(/^x+|x+$/g, "");
}

/** Whether a row is shown; `figure` gives NaN where the row has none. */
export function passes(
  filter: RowFilter,
  text: (key: TextKey) => string,
  figure: (key: NumericKey) => number,
): boolean {
  const kind = asciiLower(text("kind"));
  if (filter.kinds.length > 0 && !filter.kinds.includes(kind)) return false;
  if (filter.words.length > 0) {
    const name = asciiLower(text("response"));
    if (!filter.words.every((word) => name.includes(word) || kind.includes(word))) return false;
  }
  return filter.tests.every((test) => {
    if (typeof test.value === "string") {
      const key = test.figure as TextKey;
      return holds(test.comparison, textAsCompared(key, text(key)), test.value);
    }
    const known = figure(test.figure as NumericKey);
    return !Number.isNaN(known) && holds(test.comparison, known, test.value);
  });
}

/** The one kind a filter asks for, or "" where it asks for none or for several. */
export function filteredKind(filter: string): string {
  const { kinds } = parseFilter(filter);
  return kinds.length === 1 ? (kinds[0] as string) : "";
}

/** The filter with this kind, or with none for "". */
export function withKind(filter: string, kind: string): string {
  const kept = partsOf(filter).flatMap((part) => (part.kind ? [] : [part.source]));
  if (kind !== "") kept.push(/[ \t\r\n"<>=≤≥≠]/.test(kind) ? `kind:"${kind}"` : `kind:${kind}`);
  return kept.join(" ");
}

export function hasTest(filter: string, test: string): boolean {
  return partsOf(filter).some((part) => part.test !== null && part.source === test);
}

/** The filter with a test such as "dead-units>0", or without it. */
export function withTest(filter: string, test: string, on: boolean): string {
  const kept = partsOf(filter).flatMap(({ source }) => (source === test ? [] : [source]));
  if (on) kept.push(test);
  return kept.join(" ");
}
