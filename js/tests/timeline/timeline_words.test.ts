import { expect, it } from "vitest";
import { decodeHistory } from "../../src/reading/history";
import { readShares } from "../../src/reading/history_reading";
import type { Tolerances } from "../../src/reading/threshold";
import {
  alarmWords,
  layerTip,
  lookWords,
  shareAt,
  timelineNote,
} from "../../src/timeline/timeline_words";
import { packHistory } from "../helpers/histories";

const AT: Tolerances = { rtol: 0, atol: 0, scale: "layer_mean", dead_at: 1, tau: 0.1 };
const history = decodeHistory(packHistory());

it("says of all layers what was counted of them", () => {
  const shares = readShares(history, AT, "dead");
  expect([0, 1, 2].map((look) => shareAt(history, shares, look))).toEqual([0, 0.125, 0.5]);
  expect(lookWords(history, 1)).toBe("look 2 of 3");
});

it("names the alarms of a step", () => {
  expect(alarmWords(history, 200)).toBe("alarm dead-share>=50%: a and 1 more layer");
  expect(alarmWords(history, 100)).toBe("");
});

it("tells a layer at a look, with its bounds", () => {
  const tip = (look: number, layer: number, atol: number): readonly string[] =>
    layerTip(history, readShares(history, { ...AT, atol }, "dead"), "dead", look, layer).lines;
  expect(tip(1, 0, 0)).toEqual(["step 100: 25.0 % dead"]);
  expect(tip(0, 0, 0.05)).toEqual(["step 0: 0.0–25.0 % dead"]);
  expect(tip(2, 1, 0)).toEqual(["step 200: not counted"]);
});

it("says what is not kept, and what is not here", () => {
  expect(timelineNote(history, AT, "dead", null)).toBe("");
  expect(timelineNote(history, { ...AT, dead_at: 0.9 }, "dead", null)).toMatch(/100.0 %/);
  expect(timelineNote(history, { ...AT, dead_at: 0.9 }, "inactive", null)).toBe("");
  const own: Tolerances = { ...AT, rtol: 0.1, scale: "unit_max" };
  expect(timelineNote(history, own, "revived", null)).toMatch(/atol alone/);
  expect(timelineNote(history, own, "dormant", 2)).toBe("Units of 2 of 3 looks are in this file.");
  const thinned = decodeHistory(packHistory({ looks: 1000 }));
  expect(timelineNote(thinned, AT, "dead", null)).toBe("3 of 1,000 looks are on this page.");
});
