import { describe, expect, it } from "vitest";
import { stateWord } from "../../src/page/status";
import { EMPTY_RUN } from "../../src/page/store";

describe("the word of the state", () => {
  const word = (look: number | null, trains: boolean): string =>
    stateWord("done", { ...EMPTY_RUN, look, trains }, "there");

  it("of a history is that it has no look yet, until it has one", () => {
    expect(word(null, true)).toBe("No look yet");
    expect(word(0, true)).toBe("Over training");
    expect(word(null, false)).toBe("Done");
  });
});
