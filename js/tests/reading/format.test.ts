import { describe, expect, it } from "vitest";
import {
  formatBracket,
  formatDuration,
  formatInteger,
  formatMean,
  formatRate,
  formatShape,
  formatShare,
  formatTolerance,
  plural,
} from "../../src/reading/format";
import { nearestStop, parseTolerance, ticks } from "../../src/reading/scale";

describe("formats", () => {
  it("write tolerances as a person types them, and read them back", () => {
    const pairs: [number, string][] = [
      [0, "0"],
      [1e-8, "1e-8"],
      [3.2e-5, "3.2e-5"],
      [0.001, "0.001"],
      [0.025, "0.025"],
      [10, "10"],
      [1e9, "1e9"],
    ];
    for (const [value, text] of pairs) {
      expect(formatTolerance(value)).toBe(text);
      expect(parseTolerance(text)).toEqual({ ok: true, value });
    }
  });

  it("say 0 % and 100 % only when it is so", () => {
    expect(formatShare(0)).toBe("0.0 %");
    expect(formatShare(1e-9)).toBe("< 0.1 %");
    expect(formatShare(0.67)).toBe("67.0 %");
    expect(formatShare(0.99999)).toBe("> 99.9 %");
    expect(formatShare(1)).toBe("100.0 %");
    expect(formatShare(Number.NaN)).toBe("–");
  });

  it("write means, counts, rates and shapes", () => {
    expect([0, 0.001, 12.345, 2073.84, 1234567].map(formatMean)).toEqual([
      "0.00",
      "< 0.01",
      "12.35",
      "2,073.8",
      "1,234,567",
    ]);
    expect(formatMean(Number.NaN)).toBe("–");
    expect(formatInteger(1204)).toBe("1,204");
    expect([0.5, 42.4, 1234].map(formatRate)).toEqual([
      "0.5 probes/s",
      "42 probes/s",
      "1,234 probes/s",
    ]);
    expect([formatShape([]), formatShape([64, 28, 28])]).toEqual(["1", "64 × 28 × 28"]);
    expect([plural(1, "probe"), plural(0, "probe"), plural(1280, "probe")]).toEqual([
      "1 probe",
      "0 probes",
      "1,280 probes",
    ]);
  });

  it("write brackets once per unit", () => {
    expect(formatBracket(12.3, 14.1, formatMean)).toBe("12.30–14.10");
    expect(formatBracket(0.123, 0.141, formatShare)).toBe("12.3–14.1 %");
    expect(formatBracket(0.5, 0.50001, formatShare)).toBe("50.0 %");
    expect(formatBracket(0.0001, 0.02, formatShare)).toBe("< 0.1 %–2.0 %");
    expect(formatBracket(0.99, 0.99999, formatShare)).toBe("99.0 % – > 99.9 %");
  });

  it("write durations", () => {
    expect([0.84, 9.97, 59.7, 185, 7630].map(formatDuration)).toEqual([
      "0.8 s",
      "10 s",
      "1 min 00 s",
      "3 min 05 s",
      "2 h 07 min",
    ]);
  });
});

describe("stops", () => {
  const stops = [0, 1e-8, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1, 10];

  it("are found by logarithm", () => {
    expect(nearestStop(stops, 0)).toBe(0);
    expect(nearestStop(stops, 1e-300)).toBe(1);
    expect(nearestStop(stops, 2.9e-3)).toBe(3);
    expect(nearestStop(stops, 3.3e-3)).toBe(4);
    expect(nearestStop(stops, 1e300)).toBe(8);
    stops.forEach((stop, index) => {
      expect(nearestStop(stops, stop)).toBe(index);
    });
    expect(nearestStop([], 1)).toBe(0);
  });

  it("are labeled at both ends and at powers of ten between", () => {
    const labels = ticks(stops, 0.2).map((tick) => tick.stop);
    expect(labels[0]).toBe(0);
    expect(labels[labels.length - 1]).toBe(10);
    expect(labels).not.toContain(0.5);
    expect(ticks([0], 0.1)).toEqual([]);
  });
});

describe("parseTolerance", () => {
  it("takes numbers and refuses the rest with a reason", () => {
    expect(parseTolerance(" .5 ")).toEqual({ ok: true, value: 0.5 });
    expect(parseTolerance("1E-3")).toEqual({ ok: true, value: 0.001 });
    const zero = parseTolerance("-0");
    expect(zero.ok && Object.is(zero.value, 0)).toBe(true);
    for (const text of ["", "-1", "nan", "Infinity", "1e999", "0x10", "1,5", "1 2", "e5"]) {
      const parsed = parseTolerance(text);
      expect(parsed.ok, text).toBe(false);
      expect(!parsed.ok && parsed.reason.length > 0).toBe(true);
    }
  });
});
