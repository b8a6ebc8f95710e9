/** The state of the run: a word, progress, rate, time left, and the buttons that apply. */

import type { Command } from "../host/host";
import { formatBytes, formatDuration, formatInteger, formatRate, plural } from "../reading/format";
import { element, setAttribute, setText, setVariable } from "../ui/dom";
import type { Contact } from "./heartbeat";
import type { RunInfo, Status } from "./store";

const WORDS: Readonly<Record<Status, string>> = {
  idle: "Ready",
  running: "Counting",
  paused: "Paused",
  stopped: "Stopped",
  done: "Done",
  failed: "Failed",
};

interface Action {
  readonly command: Command;
  readonly label: string;
}

function mainAction(status: Status, restartable: boolean): Action | null {
  switch (status) {
    case "idle":
      return { command: "start", label: "Start" };
    case "running":
      return { command: "pause", label: "Pause" };
    case "paused":
      return { command: "resume", label: "Resume" };
    default:
      return restartable ? { command: "restart", label: "Restart" } : null;
  }
}

function progressText(run: RunInfo): string {
  return run.total === null
    ? plural(run.probes, "probe")
    : `${formatInteger(run.probes)} of ${plural(run.total, "probe")}`;
}

/** What is read as the state: a kernel that is not heard from may not be counting any more. */
export function stateWord(status: Status, run: RunInfo, contact: Contact): string {
  if (contact === "gone") return "Kernel gone";
  if (contact === "silent") return "No answer";
  if (run.trains) return run.look === null ? "No look yet" : "Over training";
  return run.recounting && status === "running" ? "Counting again" : (WORDS[status] ?? status);
}

function paceText(status: Status, run: RunInfo, silentFor: number | null): string {
  if (silentFor !== null) return `· last heard ${formatDuration(silentFor)} ago`;
  if (status === "running" && run.remaining !== null) {
    return `· ${formatDuration(run.remaining)} left`;
  }
  return run.elapsed > 0 ? `· ${formatDuration(run.elapsed)}` : "";
}

/** What the run takes: of interest to few, and not all the time. */
export function detailsText(status: Status, run: RunInfo): string {
  const parts: string[] = [];
  if (status === "running" && run.rate !== null) parts.push(formatRate(run.rate));
  if (run.nbytes > 0) parts.push(`${formatBytes(run.nbytes)} of counts`);
  return parts.join(" · ");
}

export class StatusRow {
  readonly #word = element("span", { class: "iua-state-word", attributes: { role: "status" } });
  readonly #source = element("span", { class: "iua-source" });
  readonly #progress = element("div", {
    class: "iua-progress",
    attributes: { role: "progressbar", "aria-label": "probes counted", "aria-valuemin": "0" },
  });
  readonly #probes = element("span");
  readonly #pace = element("span", { class: "iua-pace" });
  readonly #main = element("button", {
    class: "iua-button iua-main",
    attributes: { type: "button" },
  });
  readonly #stop = element("button", {
    class: "iua-button",
    text: "Stop",
    attributes: { type: "button" },
  });
  readonly #buttons = element("span", { class: "iua-buttons" });
  readonly #numbers = element("span", { class: "iua-numbers" }, this.#probes, this.#pace);
  readonly #node: HTMLElement;
  #action: Action | null = null;

  constructor(canRun: boolean, onCommand: (command: Command) => void, signal: AbortSignal) {
    const dot = element("span", { class: "iua-state-dot", attributes: { "aria-hidden": "true" } });
    const row = element(
      "div",
      { class: "iua-status" },
      element("span", { class: "iua-state" }, dot, this.#word),
      this.#source,
      element("div", { class: "iua-run" }, this.#progress, this.#numbers),
      this.#buttons,
    );
    this.#node = element("div", { class: "iua-status-home" }, row);
    if (!canRun) return;
    this.#buttons.append(this.#stop, this.#main);
    const send = (command: Command | undefined): void => {
      if (command !== undefined) onCommand(command);
    };
    this.#main.addEventListener("click", () => send(this.#action?.command), { signal });
    this.#stop.addEventListener("click", () => send("stop"), { signal });
  }

  /** `silentFor`: for how many seconds the kernel has not been heard from; null where it is, or gone. */
  update(status: Status, run: RunInfo, contact: Contact, silentFor: number | null): void {
    setText(this.#word, stateWord(status, run, contact));
    setText(this.#source, run.source);
    this.#source.title = run.source;
    const progress = progressText(run);
    setText(this.#probes, progress);
    // As wide as it gets, from the beginning.
    const most = run.total === null ? progress : progressText({ ...run, probes: run.total });
    setVariable(this.#numbers, "--characters", String(most.length));
    this.#numbers.title = detailsText(status, run);
    setText(this.#pace, paceText(status, run, silentFor));
    this.#updateProgress(status, run);
    this.#updateButtons(status, run.restartable);
    for (const button of [this.#main, this.#stop]) button.disabled = contact !== "there";
  }

  #updateProgress(status: Status, run: RunInfo): void {
    // A look is counted before it is shown.
    this.#progress.hidden = run.trains;
    const total = run.total ?? (status === "done" ? run.probes : null);
    const share = total === null ? 0 : total === 0 ? 1 : Math.min(1, run.probes / total);
    this.#progress.classList.toggle(
      "iua-indeterminate",
      total === null && (status === "running" || status === "paused"),
    );
    setAttribute(this.#progress, "aria-valuenow", total === null ? null : String(run.probes));
    setAttribute(this.#progress, "aria-valuemax", total === null ? null : String(total));
    setAttribute(this.#progress, "aria-valuetext", progressText(run));
    setVariable(this.#progress, "--progress", share.toFixed(4));
  }

  #updateButtons(status: Status, restartable: boolean): void {
    this.#action = mainAction(status, restartable);
    setText(this.#main, this.#action?.label ?? "");
    const stopHadFocus = this.#stop.matches(":focus");
    this.#main.hidden = this.#action === null;
    this.#stop.hidden = status !== "running" && status !== "paused";
    if (stopHadFocus && this.#stop.hidden && !this.#main.hidden) {
      this.#main.focus({ preventScroll: true });
    }
  }

  /** Put a button before those of the run. */
  addBefore(node: HTMLElement): void {
    this.#buttons.before(node);
  }

  /** Put a button at the end of the row. */
  add(node: HTMLElement): void {
    this.#buttons.append(node);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
