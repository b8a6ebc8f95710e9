/** The whole view: takes changes from the host, reads the numbers once a frame, hands them on. */

import type { Command, Host, Topic } from "../host/host";
import { widthIn } from "../names/text_width";
import { type DrawnPicture, drawPicture, HEADING_ROOM, NAME_SIZE } from "../picture/picture";
import { colorsOf, savePicture } from "../picture/save_picture";
import { formatInteger, plural } from "../reading/format";
import { UnitReader } from "../reading/layers";
import { asSort } from "../reading/row_order";
import { ruleInWords } from "../reading/rule_words";
import { decodeTable, decodeUnits, SnapshotError, type UnitsSnapshot } from "../reading/snapshot";
import { TableReading } from "../reading/table_reading";
import { LayerTable } from "../table/layer_table";
import { whyNone } from "../table/layer_warnings";
import { TolerancePanel } from "../tolerances/tolerance_panel";
import { Alert } from "../ui/alert";
import { element, setAttribute, setVariable } from "../ui/dom";
import { followTheme } from "../ui/theme";
import { LayerUnits, type UnitsState } from "../units/layer_units";
import { isSelection, unitsOf, type WorstUnit, WorstUnits } from "../worst/worst_reading";
import { WorstUnitsList } from "../worst/worst_units";
import { ContactAlert } from "./contact_alert";
import { KernelContact } from "./kernel_contact";
import { Notes, openedBecause } from "./notes";
import { headingName, pictureCurve, pictureRows } from "./picture_of";
import { Presentation } from "./presentation";
import { detailsText, StatusRow } from "./status";
import { TabStrip } from "./tab_strip";
import { ViewMenu } from "./view_menu";

const TOPICS: readonly Topic[] = [
  "tolerances",
  "layer",
  "run",
  "kernel",
  "table",
  "units",
  "worst",
  "selected",
  "sort",
  "filter",
  "color",
];
/** From here on table and picture stand side by side. */
const WIDE_FROM = 900;
/** Below, the rule takes one line more. */
const ROOMY_FROM = 1166;
const NARROW_BELOW = 700;

/**
 * A notebook takes single keys for commands ("x" cuts the cell): those pressed in here are not meant
 * for it. Chords, Shift+Enter and Escape are.
 */
function keepFromHost(event: KeyboardEvent): void {
  const chord = event.ctrlKey || event.metaKey || event.altKey;
  const runsCell = event.shiftKey && event.key === "Enter";
  if (!chord && !runsCell && event.key !== "Escape") event.stopPropagation();
}

function showError(alert: Alert, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof SnapshotError) alert.show("The data cannot be shown. ", message);
  else {
    alert.show(
      "Something went wrong in the view. ",
      `${message}. Run the cell again; if that does not help, restart the kernel and reload the page.`,
    );
  }
}

export class App {
  readonly #host: Host;
  readonly #status: StatusRow;
  readonly #notes: Notes;
  readonly #runError = new Alert();
  readonly #viewError = new Alert();
  readonly #mishap = new Alert();
  readonly #contact: KernelContact;
  readonly #contactAlert = new ContactAlert();
  readonly #tolerances: TolerancePanel;
  readonly #table: LayerTable;
  readonly #units: LayerUnits;
  readonly #worstList: WorstUnitsList;
  readonly #strip: TabStrip;
  readonly #menu: ViewMenu;
  readonly #node: HTMLElement;
  readonly #stale = new Set<Topic>(TOPICS);
  readonly #unitReader = new UnitReader();
  #frame = 0;
  #reading: TableReading | null = null;
  #unitsData: UnitsSnapshot | null = null;
  #worst: WorstUnits | null = null;

  constructor(host: Host, signal: AbortSignal) {
    this.#host = host;
    this.#status = new StatusRow(host.canRun, (command) => this.#ask(command), signal);
    this.#notes = new Notes(signal);
    this.#tolerances = new TolerancePanel(
      {
        onInput: (changes) => {
          host.setTolerances(changes);
          this.#invalidate("tolerances");
        },
        onSettle: () => host.settle(),
        onRecount: () => this.#ask("recount"),
      },
      signal,
    );
    this.#table = new LayerTable(
      {
        onSelect: (layer) => {
          if (this.#outOfReach(layer)) return;
          host.setLayer(layer);
          this.#invalidate("layer");
        },
        onSort: (sort) => {
          host.setView({ sort });
          this.#invalidate("sort");
        },
        onFilter: (filter) => {
          host.setView({ filter });
          this.#invalidate("filter");
        },
      },
      signal,
    );
    this.#units = new LayerUnits(
      {
        onTolerances: (changes) => {
          host.setTolerances(changes);
          this.#invalidate("tolerances");
        },
        onSettle: () => host.settle(),
        onColoring: (color) => {
          host.setView({ color });
          this.#invalidate("color");
        },
        onSelect: (selected) => {
          host.setView({ selected });
          this.#invalidate("selected");
        },
      },
      signal,
    );
    this.#worstList = new WorstUnitsList((unit) => this.#present(unit), signal);
    this.#strip = new TabStrip("units in detail", () => this.#showWorst(), signal);
    this.#strip.add("worst", "Worst units of the network", this.#worstList.node());
    this.#strip.add("layer", "Of this layer", this.#units.list.node());
    this.#strip.add("selected", "Selected", this.#units.selected.node());
    this.#strip.pin(this.#units.card.node());
    this.#contact = new KernelContact(() => this.#invalidate("kernel"), signal);
    this.#node = element(
      "div",
      { class: "iua-widget", attributes: { "data-lm-suppress-shortcuts": "true" } },
      ...(host.title === "" ? [] : [element("h2", { class: "iua-title", text: host.title })]),
      ...(host.text === "" ? [] : [element("p", { class: "iua-text", text: host.text })]),
      this.#status.node(),
      this.#mishap.node(),
      this.#viewError.node(),
      this.#runError.node(),
      this.#contactAlert.node(),
      this.#notes.node(),
      this.#tolerances.node(),
      element("div", { class: "iua-panes" }, this.#table.node(), this.#units.heatmap.node()),
      this.#strip.node(),
    );
    const presentation = new Presentation(this.#node, () => this.#presented(), signal);
    this.#menu = new ViewMenu(
      {
        presentation,
        show: (panel, shown) => this.#node.classList.toggle(`iua-without-${panel}`, !shown),
        save: (kind) => savePicture(this.#picture(), kind, this.#pictureTitle()),
      },
      signal,
    );
    this.#status.addBefore(this.#notes.button());
    this.#status.add(this.#menu.node());
    this.#node.classList.toggle("iua-static", !host.canRun);
    for (const topic of TOPICS) host.subscribe(topic, () => this.#invalidate(topic), signal);
    host.subscribe("run", () => this.#contact.heard(), signal);
    this.#node.addEventListener("keydown", keepFromHost, { signal });
    this.#followSize(signal);
    followTheme(() => this.#recolor(), signal);
    signal.addEventListener("abort", () => cancelAnimationFrame(this.#frame), { once: true });
  }

  node(): HTMLElement {
    return this.#node;
  }

  #followSize(signal: AbortSignal): void {
    const observer = new ResizeObserver(() => this.#fitWidth());
    observer.observe(this.#node);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  #fitWidth(): void {
    const width = this.#node.offsetWidth;
    if (width === 0) return;
    this.#node.classList.toggle("iua-wide", width >= WIDE_FROM);
    this.#node.classList.toggle("iua-cramped", width >= WIDE_FROM && width < ROOMY_FROM);
    this.#node.classList.toggle("iua-narrow", width < NARROW_BELOW);
  }

  /** What is drawn takes its colors and its size of type from the style sheet once. */
  #recolor(): void {
    this.#units.heatmap.recolor();
    this.#tolerances.recolor();
  }

  #ask(command: Command): void {
    this.#host.command(command);
    this.#contact.asked();
  }

  /** Whether the units of a layer are neither on the page nor to be had. */
  #outOfReach(layer: string): boolean {
    return this.#host.kernelGone() && this.#unitsData?.layer !== layer;
  }

  #invalidate(topic: Topic): void {
    this.#stale.add(topic);
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#update();
    });
  }

  /** Bring everything up to date now; call once the node is in the page. */
  paint(): void {
    this.#fitWidth();
    this.#update();
    this.#units.heatmap.recolor();
  }

  #update(): void {
    try {
      this.#read();
      this.#show();
      this.#viewError.hide();
    } catch (error) {
      showError(this.#viewError, error);
    }
  }

  /** Show what went wrong beside the updates, in a listener say; it stays. */
  fail(error: unknown): void {
    showError(this.#mishap, error);
  }

  /** Decode what arrived since; a topic that fails is not tried again before it changes. */
  #read(): void {
    const stale = new Set(this.#stale);
    this.#stale.clear();
    if (stale.has("table")) {
      const bytes = this.#host.table();
      this.#reading = bytes === null ? null : new TableReading(decodeTable(bytes));
    }
    if (stale.has("units")) {
      const bytes = this.#host.units();
      this.#unitsData = bytes === null ? null : decodeUnits(bytes);
    }
    if (stale.has("worst")) {
      const bytes = this.#host.worst();
      this.#worst = bytes === null ? null : new WorstUnits(bytes);
    }
  }

  #show(): void {
    const tolerances = this.#host.tolerances();
    const reading = this.#reading?.read(tolerances) ?? null;
    const table = reading?.table;
    const layer = this.#host.layer();
    const run = this.#host.run();
    this.#showStatus();
    if (run.error === null) this.#runError.hide();
    else this.#runError.show(run.error.title, run.error.message);
    this.#notes.update(run.notes);
    const status = this.#host.status();
    this.#tolerances.update({
      table: table ?? null,
      layer,
      tolerances,
      exact: reading?.allExact ?? true,
      share: reading?.share ?? Number.NaN,
      canRecount:
        this.#contact.contact() === "there" &&
        this.#host.canRun &&
        run.restartable &&
        (status === "done" || status === "stopped"),
      opened: openedBecause(run.notes),
    });
    const { sort, filter } = this.#host.view();
    if (reading !== null) setVariable(this.#node, "--iua-layers", String(reading.layers));
    const toCome = status === "idle" || status === "running" || status === "paused";
    this.#node.classList.toggle("iua-nothing-counted", reading === null && !toCome);
    const within = this.#within();
    this.#table.update({ reading, layer, sort: asSort(sort), filter, within });
    this.#units.heatmap.tellFrom(reading?.table.layers.map(({ name }) => name) ?? []);
    this.#units.update(this.#unitsState(layer));
    this.#showWorst();
    const selected = this.#host.view().selected.length;
    this.#strip.name(
      "selected",
      selected === 0 ? "Selected" : `Selected (${formatInteger(selected)})`,
    );
    this.#host.shown(run.frame);
  }

  /** The one layer whose units are there to be seen; null where those of any can come. */
  #within(): string | null {
    return this.#host.kernelGone() ? (this.#unitsData?.layer ?? "") : null;
  }

  #showWorst(): void {
    if (this.#strip.shown !== "worst") return;
    const layer = this.#host.layer();
    const { selected } = this.#host.view();
    this.#worstList.update({
      list: this.#worst?.at(this.#host.tolerances()) ?? null,
      reading: this.#reading,
      isSelected: (unit) => isSelection(unit, layer, selected),
      comes: this.#host.canRun && !this.#host.kernelGone(),
      within: this.#within(),
    });
  }

  /** Show one of the worst: its layer, and it or all positions of it, selected. */
  #present(unit: WorstUnit): void {
    this.#host.setLayer(unit.layer.name);
    this.#invalidate("layer");
    this.#units.present(unit.layer.name, unitsOf(unit));
  }

  #presented(): void {
    this.#menu.presented();
    this.#recolor();
  }

  #pictureTitle(): string {
    const { source } = this.#host.run();
    return this.#host.title || `Inactive units of ${source}`;
  }

  /** The panels on show, with what a reader needs to know beside them. */
  #picture(): DrawnPicture {
    const text = (selector: string): string =>
      this.#node.querySelector(selector)?.textContent ?? "";
    const without = (panel: string): boolean =>
      this.#node.classList.contains(`iua-without-${panel}`);
    const reading = this.#reading;
    const layer = this.#host.layer();
    const shown = reading === null || without("table") ? [] : this.#table.shown();
    const exact = reading?.allExact ?? true;
    const row = reading?.table.layers.findIndex(({ name }) => name === layer) ?? -1;
    const widthOf = widthIn(this.#node, 600, `${NAME_SIZE}px`);
    const table =
      reading === null
        ? { rows: [], more: "", shared: "" }
        : pictureRows(reading, shown, layer, widthOf);
    const name =
      reading === null || row < 0 ? layer : headingName(reading, row, HEADING_ROOM, widthOf);
    const heatmap = without("heatmap") ? null : this.#units.heatmap.picture();
    return drawPicture({
      title: this.#pictureTitle(),
      text: this.#host.text,
      lines: [
        `inactive: ${ruleInWords(this.#host.tolerances())}${exact ? "" : " · a–b holds the true number"}`,
        `${plural(this.#host.run().probes, "probe")} · ${text(".iua-state-word").toLowerCase()}`,
      ],
      ...table,
      curve:
        reading === null || row < 0 || without("tolerances")
          ? null
          : pictureCurve(reading, row, this.#host.tolerances(), name),
      heatmap: heatmap && { ...heatmap, name },
      colors: colorsOf(this.#node),
    });
  }

  #showStatus(): void {
    const status = this.#host.status();
    const counting = status === "running" || status === "paused";
    this.#contact.watch(this.#host.canRun && counting, this.#host.kernelGone());
    setAttribute(this.#node, "data-status", status);
    const contact = this.#contact.contact();
    const run = this.#host.run();
    this.#contactAlert.update(contact);
    this.#status.update(status, run, contact, this.#contact.silence());
    this.#menu.tell(detailsText(status, run));
    this.#node.classList.toggle("iua-silent", contact !== "there");
  }

  #unitsState(layer: string): UnitsState {
    const units = this.#unitsData;
    const message = (text: string): UnitsState => ({ kind: "message", layer, text });
    const table = this.#reading;
    if (layer === "" || table === null) {
      return message(
        table === null
          ? "The units of a layer appear here once it has been counted."
          : "Select a layer in the table to see its units.",
      );
    }
    if (units?.layer !== layer) {
      return message(this.#host.unitsAbsent(layer) ?? `Waiting for units of ${layer}…`);
    }
    const row = table.table.layers.findIndex((meta) => meta.name === layer);
    if (row < 0) return message(`Waiting for units of ${layer}…`);
    const meta = table.meta(row);
    if (units.probes === 0) return message(`No probe has reached ${layer}${whyNone(meta)}.`);
    if (units.units === 0) return message(`${layer} has no units: its responses have no entries.`);
    const tolerances = this.#host.tolerances();
    const reading = this.#unitReader.read(table.table, units, tolerances);
    const { color, selected } = this.#host.view();
    return {
      kind: "units",
      units,
      reading,
      layer: table.layer(row),
      tolerances,
      rtolStops: table.table.rtolStops,
      coloring: color,
      selected,
    };
  }
}
