/** A model as anywidget gives it, that counts what is sent. */

import type { WidgetModel } from "../../src/host/host";

export class FakeModel implements WidgetModel {
  readonly state: Record<string, unknown> = {};
  readonly listeners = new Map<string, Set<() => void>>();
  readonly sent: unknown[] = [];
  saves = 0;
  get(name: string): unknown {
    return this.state[name];
  }
  set(name: string, value: unknown): void {
    this.state[name] = value;
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
