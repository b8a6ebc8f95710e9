import { effect } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Heartbeat } from "../../src/page/heartbeat";

describe("contact with a kernel", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const opened = () => {
    const contact = new Heartbeat(new AbortController().signal);
    const changes: string[] = [];
    effect(() => void changes.push(contact.contact.value));
    return { contact, changes };
  };

  it("is lost within ten seconds where a sign is due, and found with the next", () => {
    const { contact } = opened();
    contact.watch(true, false);
    for (let beat = 0; beat < 5; beat++) {
      vi.advanceTimersByTime(3000);
      contact.heard();
    }
    expect(contact.contact.value).toBe("there");
    vi.advanceTimersByTime(8500);
    expect(contact.contact.value).toBe("there");
    vi.advanceTimersByTime(1500);
    expect([contact.contact.value, contact.silentFor.value]).toEqual(["silent", 10]);
    contact.heard();
    expect([contact.contact.value, contact.silentFor.value]).toEqual(["there", null]);
  });

  it("is not missed where no sign is due, until something is asked", () => {
    const { contact, changes } = opened();
    contact.watch(false, false);
    vi.advanceTimersByTime(3_600_000);
    expect(contact.contact.value).toBe("there");
    contact.asked();
    vi.advanceTimersByTime(10_000);
    expect(contact.contact.value).toBe("silent");
    contact.heard();
    vi.advanceTimersByTime(3_600_000);
    expect(contact.contact.value).toBe("there");
    expect(changes.at(-1)).toBe("there");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is not taken for lost by a page that was asleep", () => {
    const { contact } = opened();
    contact.watch(true, false);
    const asleep = vi.spyOn(performance, "now");
    asleep.mockReturnValue(performance.now() + 8 * 3_600_000);
    vi.advanceTimersByTime(500);
    expect(contact.contact.value).toBe("there");
    asleep.mockRestore();
  });

  it("is known to be over where the host says so, with nothing to wait for", () => {
    const { contact } = opened();
    contact.watch(true, true);
    expect([contact.contact.value, contact.silentFor.value, vi.getTimerCount()]).toEqual([
      "gone",
      null,
      0,
    ]);
    contact.watch(true, false);
    expect(contact.contact.value).toBe("there");
  });
});
