/** Descriptions of the units of a layer. */

import { describe, expect, it } from "vitest";
import type { LayerReading } from "../../src/reading/layer_reading";
import { describeUnit, ownIndex } from "../../src/reading/layout";
import type { LayerMeta } from "../../src/reading/snapshot";
import {
  deadChannels,
  maskedNote,
  unitNote,
  unitSentence,
  unitSummary,
} from "../../src/reading/unit_words";
import { layerMeta } from "../helpers/pack";

function meta(changes: object): LayerMeta {
  return layerMeta("layer", 64, changes) as LayerMeta;
}

function reading(changes: object, lower: number, upper: number): LayerReading {
  const bound = (deadChannels: number) => ({ mean: 0, std: 0, dead: 0, deadChannels });
  return {
    meta: meta(changes),
    lower: bound(lower),
    upper: bound(upper),
  } as unknown as LayerReading;
}

describe("unit words", () => {
  it("show the shape of elements of several axes only", () => {
    expect(unitNote(meta({}), 71)).toBe("");
    const maps = { shape: [4, 5, 6], response_shape: [4, 5, 6] };
    expect(unitNote(meta(maps), 71)).toBe("4 × 5 × 6");
    expect(unitSummary(meta({ ...maps, units: 120 }))).toBe("120 units");
    expect(unitSentence(meta(maps), 71)).toBe(
      "Every entry of a response is a unit. One input gives 4 × 5 × 6. 10 probes counted so far.",
    );
  });

  it("say what a channel and a token are, and of what", () => {
    const channel = meta({ unit: "channel", response_shape: [64, 7, 7] });
    expect(unitNote(channel, 71)).toBe("channels of 64 × 7 × 7");
    expect(unitSentence(channel, 71)).toContain(
      "at every position. One input gives 64 × 7 × 7. 10 probes counted so far.",
    );
    const token = meta({ unit: "token", response_shape: [null, 64], masked: 1024, probes: 5000 });
    expect(unitNote(token, 71)).toBe("tokens of * × 64");
    expect(unitSentence(token, 71)).toBe(
      "A unit is a channel, and every token is a probe: 5,000 tokens counted so far. " +
        "One input gives * × 64. 1,024 padded positions left out.",
    );
    expect(unitSummary(token)).toBe("64 channels, every token a probe");
    expect(maskedNote(token)).toBe("1,024 padded positions left out");
    expect(maskedNote(meta({ masked: 1 }))).toBe("1 padded position left out");
    expect(maskedNote(channel)).toBe("");
  });

  it("say at how many stops a layer is held where memory was short", () => {
    const thinned = meta({ stops: 12 });
    expect(unitNote(thinned, 71)).toBe("12 of 71 tolerances");
    expect(unitNote(meta({ stops: 3, shape: [4, 5], response_shape: [4, 5] }), 71)).toBe(
      "4 × 5 · 3 of 71 tolerances",
    );
    expect(unitSentence(thinned, 71)).toContain(
      "10 probes counted so far. Memory was short: units are counted at 12 of 71 tolerances.",
    );
    expect(unitSentence(meta({}), 71)).not.toContain("Memory");
  });

  it("count dead channels where some are or may be dead", () => {
    expect(deadChannels(reading({ channels: 8 }, 0, 0))).toBe("");
    expect(deadChannels(reading({ channels: 8 }, 3, 3))).toBe("3 of 8 channels");
    expect(deadChannels(reading({ channels: 8 }, 0, 2))).toBe("0–2 of 8 channels");
    expect(deadChannels(reading({ channels: null }, 3, 3))).toBe("");
  });
});

describe("ownIndex", () => {
  it("is the unit itself where channels come first", () => {
    for (const unit of [0, 17, 59]) expect(ownIndex([3, 4, 5], 0, unit)).toBe(unit);
  });

  for (const axis of [1, 2]) {
    it(`puts channels back to axis ${axis}`, () => {
      const seen = new Set<number>();
      for (let unit = 0; unit < 60; unit++) {
        const own = ownIndex([3, 4, 5], axis, unit);
        const [channel, row, column] = [Math.floor(unit / 20), Math.floor(unit / 5) % 4, unit % 5];
        expect(own).toBe(
          axis === 1 ? (row * 3 + channel) * 5 + column : (row * 5 + column) * 3 + channel,
        );
        seen.add(own);
      }
      expect(seen.size).toBe(60);
      expect(describeUnit([3, 4, 5], 59)).toBe("channel 2, row 3, column 4");
    });
  }
});
