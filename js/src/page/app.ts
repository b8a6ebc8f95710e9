/** The whole view: makes the parts, and says what each of them shows. */

import { computed } from "@preact/signals-core";
import type { Command, Host } from "../host/host";
import { type DrawnPicture, drawPicture } from "../picture/picture";
import { savePicture } from "../picture/save_picture";
import { formatInteger } from "../reading/format";
import { SnapshotError } from "../reading/snapshot";
import { LayerTable } from "../table/layer_table";
import { TimelinePanel } from "../timeline/timeline_panel";
import { TolerancePanel } from "../tolerances/tolerance_panel";
import { Alert } from "../ui/alert";
import { element, setAttribute, setVariable } from "../ui/dom";
import { followTheme } from "../ui/theme";
import { LayerUnits } from "../units/layer_units";
import { isSelection, unitsOf, type WorstUnit } from "../worst/worst_reading";
import { WorstUnitsList } from "../worst/worst_units";
import { ComparedLine } from "./compared_line";
import { ContactAlert } from "./contact_alert";
import { Groups } from "./groups";
import { Heartbeat } from "./heartbeat";
import { Notes } from "./notes";
import { Presentation } from "./presentation";
import { savedPicture } from "./saved_picture";
import { detailsText, StatusRow, stateWord } from "./status";
import { type Status, Store } from "./store";
import { TabStrip } from "./tab_strip";
import { unitsOnShow } from "./units_on_show";
import { PANELS, ViewMenu } from "./view_menu";

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
  readonly #store: Store;
  readonly #heartbeat: Heartbeat;
  readonly #status: StatusRow;
  readonly #notes: Notes;
  readonly #runError = new Alert();
  readonly #viewError = new Alert();
  readonly #mishap = new Alert();
  readonly #contactAlert = new ContactAlert();
  readonly #compared = new ComparedLine();
  readonly #tolerances: TolerancePanel;
  readonly #timeline: TimelinePanel;
  readonly #table: LayerTable;
  readonly #units: LayerUnits;
  readonly #worst: WorstUnitsList;
  readonly #strip: TabStrip;
  readonly #groups: Groups;
  readonly #menu: ViewMenu;
  readonly #node: HTMLElement;

  constructor(host: Host, abort: AbortSignal) {
    this.#host = host;
    const store = new Store(host, abort);
    this.#store = store;
    this.#heartbeat = new Heartbeat(abort);
    this.#status = new StatusRow(host.canRun, (command) => this.#ask(command), abort);
    this.#notes = new Notes(abort);
    this.#tolerances = new TolerancePanel(
      {
        onInput: (changes) => store.set(changes),
        onSettle: () => host.settle(),
        onRecount: () => this.#ask("recount"),
      },
      abort,
    );
    this.#timeline = new TimelinePanel(
      {
        onLook: (look) => store.set({ look }),
        // As a comparison begins what it is about is colored, in place of the default.
        onAgainst: (against) => {
          const { traits } = store;
          const begins = against !== null && traits.against.value === null;
          const colored = begins && traits.color.value === "share";
          store.set(colored ? { against, color: "change" } : { against });
        },
        onSettle: () => host.settle(),
      },
      abort,
    );
    this.#table = new LayerTable(
      {
        onSelect: (layer) => {
          if (this.#within.value === null || this.#within.value === layer) store.select(layer);
        },
        onSort: (sort) => store.set({ sort }),
        onFilter: (filter) => store.set({ filter }),
      },
      abort,
    );
    this.#units = new LayerUnits(
      {
        onTolerances: (changes) => store.set(changes),
        onSettle: () => host.settle(),
        onColoring: (color) => store.set({ color }),
        onSelect: (selected) => store.set({ selected }),
      },
      abort,
    );
    this.#worst = new WorstUnitsList((unit) => this.#present(unit), abort);
    this.#strip = new TabStrip("units in detail", abort);
    this.#strip.add("worst", "Worst units of the network", this.#worst.node());
    this.#strip.add("layer", "Of this layer", this.#units.list.node());
    this.#strip.add("selected", "Selected", this.#units.selected.node());
    this.#strip.pin(this.#units.card.node());
    this.#groups = new Groups((group) => {
      store.set({ group });
      host.settle();
    }, abort);
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
      this.#compared.node(),
      this.#tolerances.node(),
      this.#timeline.node(),
      element("div", { class: "iua-panes" }, this.#table.node(), this.#units.heatmap.node()),
      this.#strip.node(),
    );
    const presentation = new Presentation(this.#node, () => this.#presented(), abort);
    this.#menu = new ViewMenu(
      { presentation, save: (kind) => savePicture(this.#picture(), kind, this.#pictureTitle()) },
      abort,
    );
    this.#status.addBefore(this.#notes.button());
    this.#status.addBefore(this.#groups.choice);
    this.#status.add(this.#menu.node());
    this.#node.classList.toggle("iua-static", !host.canRun);
    for (const name of ["status", "_run"]) {
      host.subscribe(name, () => this.#heartbeat.heard(), abort);
    }
    this.#node.addEventListener("keydown", keepFromHost, { signal: abort });
    this.#followSize(abort);
    followTheme(() => this.#recolor(), abort);
  }

  node(): HTMLElement {
    return this.#node;
  }

  #followSize(abort: AbortSignal): void {
    const observer = new ResizeObserver(() => this.#fitWidth());
    observer.observe(this.#node);
    abort.addEventListener("abort", () => observer.disconnect(), { once: true });
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
    this.#timeline.recolor();
  }

  #ask(command: Command): void {
    this.#host.command(command);
    this.#heartbeat.asked();
  }

  /** Show everything, and go on showing it; call once the node is in the page. */
  paint(): void {
    this.#fitWidth();
    this.#store.update();
    this.#showRun();
    this.#showLayers();
    this.#showUnits();
    this.#store.show(() => {
      const fault = this.#store.fault.value;
      if (fault === null) this.#viewError.hide();
      else showError(this.#viewError, fault);
    });
    this.#units.heatmap.recolor();
  }

  /** Show what went wrong beside the updates, in a listener say; it stays. */
  fail(error: unknown): void {
    showError(this.#mishap, error);
  }

  /** Whether the run is in one of these states. */
  #is(...states: readonly Status[]): boolean {
    return states.includes(this.#store.traits.status.value);
  }

  #showRun(): void {
    const { status, _run, _gone } = this.#store.traits;
    const { contact, silentFor } = this.#heartbeat;
    const { canRun } = this.#host;
    this.#store.show(() =>
      this.#heartbeat.watch(canRun && this.#is("running", "paused"), _gone.value),
    );
    this.#store.show(() => {
      setAttribute(this.#node, "data-status", status.value);
      this.#node.classList.toggle("iua-silent", contact.value !== "there");
      this.#contactAlert.update(contact.value);
      this.#status.update(status.value, _run.value, contact.value, silentFor.value);
      this.#menu.tell(detailsText(status.value, _run.value));
    });
    this.#store.show(() => {
      const { error, notes, warnings } = _run.value;
      if (error === null) this.#runError.hide();
      else this.#runError.show(error.title, error.message);
      this.#notes.update(notes, warnings);
    });
    this.#store.show(() => this.#compared.update(_run.value));
    this.#store.show(() => this.#showGroups());
  }

  #showGroups(): void {
    const { _run, _groups, group, by_group, layer } = this.#store.traits;
    const { groups } = _run.value;
    this.#groups.update(this.#host.canRun ? groups : [], group.value);
    if (groups.length > 0) this.#strip.add("groups", "By group", this.#groups.node());
    const pictures = _groups.value.filter((one) => one.layer === layer.value);
    this.#groups.show(pictures, group.value);
    const wanted = this.#strip.shown.value === "groups";
    if (wanted !== by_group.value) this.#store.set({ by_group: wanted });
  }

  #showLayers(): void {
    const { reading, tolerances, traits } = this.#store;
    const { contact } = this.#heartbeat;
    const canRecount = computed(
      () =>
        contact.value === "there" &&
        this.#host.canRun &&
        traits._run.value.restartable &&
        this.#is("done", "stopped"),
    );
    const opened = computed(() => traits._run.value.opened);
    this.#store.show(() =>
      this.#tolerances.update({
        table: reading.value?.table ?? null,
        layer: traits.layer.value,
        tolerances: tolerances.value,
        exact: reading.value?.allExact ?? true,
        share: reading.value?.share ?? Number.NaN,
        canRecount: canRecount.value,
        opened: opened.value,
      }),
    );
    this.#store.show(() => {
      const layers = reading.value?.layers;
      if (layers !== undefined) setVariable(this.#node, "--iua-layers", String(layers));
      const toCome = this.#is("idle", "running", "paused");
      this.#node.classList.toggle("iua-nothing-counted", layers === undefined && !toCome);
    });
    this.#store.show(() =>
      this.#table.update({
        reading: reading.value,
        layer: traits.layer.value,
        sort: traits.sort.value,
        filter: traits.filter.value,
        within: this.#within.value,
      }),
    );
    this.#store.show(() => {
      const history = traits._history.value;
      this.#node.classList.toggle("iua-over-time", history !== null);
      this.#timeline.update({
        history,
        tolerances: tolerances.value,
        layer: traits.layer.value,
        look: traits.look.value,
        against: traits.against.value,
        arrived: traits._run.value.look,
        held: traits._held.value,
      });
    });
    const { without } = this.#menu;
    this.#store.show(() => {
      for (const panel of PANELS) {
        this.#node.classList.toggle(`iua-without-${panel}`, without.value.has(panel));
      }
    });
  }

  #showUnits(): void {
    const { reading, tolerances, traits } = this.#store;
    const { layer, selected } = traits;
    this.#store.show(() =>
      this.#units.heatmap.tellFrom(traits._table.value?.table.layers.map(({ name }) => name) ?? []),
    );
    const units = unitsOnShow(this.#store);
    this.#store.show(() => this.#units.update(units()));
    this.#store.show(() => {
      if (this.#strip.shown.value !== "worst") return;
      const [name, chosen] = [layer.value, selected.value];
      this.#worst.update({
        list: traits._worst.value?.at(tolerances.value) ?? null,
        reading: reading.value,
        isSelected: (unit) => isSelection(unit, name, chosen),
        comes: this.#host.canRun && !traits._gone.value,
        within: this.#within.value,
      });
    });
    this.#store.show(() => {
      const units = selected.value.length;
      this.#strip.name("selected", units === 0 ? "Selected" : `Selected (${formatInteger(units)})`);
    });
  }

  /** The one layer whose units are there to be seen; null where those of any can come. */
  readonly #within = computed(() => {
    const { _gone, _units } = this.#store.traits;
    return _gone.value ? (_units.value?.layer ?? "") : null;
  });

  /** Show one of the worst: its layer, and it or all positions of it, selected. */
  #present(unit: WorstUnit): void {
    this.#store.select(unit.layer.name);
    this.#units.present(unit.layer.name, unitsOf(unit));
  }

  #presented(): void {
    this.#menu.presented();
    this.#recolor();
  }

  #pictureTitle(): string {
    return this.#host.title || `Inactive units of ${this.#store.traits._run.value.source}`;
  }

  #picture(): DrawnPicture {
    const { status, _run } = this.#store.traits;
    const shown = {
      title: this.#pictureTitle(),
      text: this.#host.text,
      state: stateWord(status.value, _run.value, this.#heartbeat.contact.value),
      without: this.#menu.without.value,
      layers: this.#table.shown(),
      heatmap: this.#units.heatmap.picture(),
      timeline: this.#timeline.picture(),
    };
    return drawPicture(savedPicture(this.#store, shown, this.#node));
  }
}
