import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const FOLDER = new URL("../src/", import.meta.url);
const FILES = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);
/** Words of the documentation, of which the page says nothing. */
const JARGON = /\b(stops?|bracket(s|ed)?|tally|tallies|snapshots?|probe axis)\b/i;
/** A command's name; and what anywidget's model is asked for. */
const NAMES = new Set(["stop", "Stop", "stops", "rtol_stops", "tau_stops"]);

/** What stands in quotes or backticks, without the code within; comments left out. */
function texts(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const found = code.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g);
  return Array.from(found, ([, quoted, template = ""]) =>
    (quoted ?? template).replace(/\$\{[^}]*\}/g, "…"),
  );
}

it("says nothing in words that only its makers know", () => {
  expect(FILES.length).toBeGreaterThan(60);
  const said = FILES.flatMap((file) =>
    texts(readFileSync(new URL(file, FOLDER), "utf8"))
      .filter((text) => JARGON.test(text) && !NAMES.has(text) && !/^\.{1,2}\//.test(text))
      .map((text) => `${file}: ${text}`),
  );
  expect(said).toEqual([]);
});
