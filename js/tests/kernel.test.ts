import { effect } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AnywidgetHost, type WidgetModel } from "../src/host/host";
import { followKernel, GONE } from "../src/host/kernel_watch";
import { Heartbeat } from "../src/page/heartbeat";

class Signal<Value> {
  readonly slots = new Set<(sender: unknown, value: Value) => void>();
  connect(slot: (sender: unknown, value: Value) => void): void {
    this.slots.add(slot);
  }
  disconnect(slot: (sender: unknown, value: Value) => void): void {
    this.slots.delete(slot);
  }
  emit(value: Value): void {
    for (const slot of this.slots) slot(null, value);
  }
}

class Model implements WidgetModel {
  readonly kernel = { statusChanged: new Signal<string>(), disposed: new Signal<unknown>() };
  readonly state = new Map<string, unknown>();
  readonly listeners = new Map<string, Set<() => void>>();
  readonly sent: unknown[] = [];
  saves = 0;
  constructor(readonly widget_manager: unknown = null) {
    this.widget_manager ??= { kernel: this.kernel };
  }
  get(name: string): unknown {
    return this.state.get(name);
  }
  set(name: string, value: unknown): void {
    this.state.set(name, value);
    for (const listener of this.listeners.get(`change:${name}`) ?? []) listener();
  }
  save_changes(): void {
    this.saves++;
  }
  send(content: unknown): void {
    this.sent.push(content);
  }
  on(event: string, listener: () => void): void {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(listener));
  }
  off(event: string, listener: () => void): void {
    this.listeners.get(event)?.delete(listener);
  }
}

describe("a kernel that the notebook tells of", () => {
  it.each(["restarting", "autorestarting", "starting", "terminating", "dead"])(
    "is gone: %s",
    (status) => {
      const model = new Model();
      followKernel(model);
      model.kernel.statusChanged.emit(status);
      expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(true);
    },
  );

  it("is gone when the connection to it is let go of", () => {
    const model = new Model();
    followKernel(model);
    model.kernel.disposed.emit(undefined);
    expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(true);
  });

  it.each(["busy", "idle", "unknown"])("is there: %s", (status) => {
    const model = new Model();
    followKernel(model);
    model.kernel.statusChanged.emit(status);
    expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(false);
  });

  it("gets nothing while it is gone, and what was set meanwhile when it is heard again", () => {
    const model = new Model();
    followKernel(model);
    const host = new AnywidgetHost(model, new AbortController().signal);
    const heard: boolean[] = [];
    host.subscribe(GONE, () => heard.push(host.get(GONE) === true), new AbortController().signal);
    model.kernel.statusChanged.emit("restarting");
    model.kernel.statusChanged.emit("starting");
    host.set({ filter: "conv" });
    host.settle();
    host.command("restart");
    host.shown(3);
    expect([model.saves, model.sent]).toEqual([0, []]);
    expect(host.get("filter")).toBe("conv");
    model.set("_run", {});
    expect(heard).toEqual([true, false]);
    expect(model.saves).toBe(1);
  });

  it("is followed as long as the widget is there", () => {
    const model = new Model();
    const widget = new AbortController();
    followKernel(model, widget.signal);
    widget.abort();
    expect(model.kernel.statusChanged.slots.size + model.kernel.disposed.slots.size).toBe(0);
    expect([...model.listeners.values()].every((set) => set.size === 0)).toBe(true);
  });

  it.each([undefined, {}, { kernel: null }, { kernel: {} }])(
    "is taken to be there where the host says nothing: %s",
    (manager) => {
      const model = new Model(manager ?? {});
      followKernel(model);
      expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(false);
    },
  );
});

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
