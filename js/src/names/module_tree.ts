/**
 * Layers by the modules they are in. Names part at dots and, before a function, at slashes; the
 * call in `relu:1` and the part in `lstm[1][0]` stay with the name.
 */

import { compareValues, type SortValues } from "../reading/row_order";

export interface Group {
  /** The part of its layers' names that they share; without the dot that follows. */
  readonly path: string;
  readonly label: string;
  readonly depth: number;
  /** All within, however deep, in the order of the network. */
  readonly layers: readonly number[];
  readonly children: readonly (Group | number)[];
}

/** One line of the table: a group, or a layer. */
export interface Row {
  readonly key: string;
  /** -1 for a group. */
  readonly layer: number;
  readonly group: Group | null;
  readonly open: boolean;
  readonly depth: number;
  readonly label: string;
}

interface Node {
  readonly path: string;
  readonly layers: number[];
  readonly children: Map<string, Node | number>;
}

const SEPARATORS = "./";

function isSeparator(name: string, at: number): boolean {
  return SEPARATORS.includes(name.charAt(at));
}

/** Where a name ends being a group's path: before each separator that has something either side. */
function pathEnds(name: string): number[] {
  const ends: number[] = [];
  for (let at = 1; at < name.length - 1; at++) {
    if (isSeparator(name, at) && !isSeparator(name, at - 1)) ends.push(at);
  }
  return ends;
}

/** A name without the path it is under; a slash stays, because what follows is no module. */
function labelUnder(path: string, name: string): string {
  if (path === "") return name;
  const rest = name.slice(path.length);
  return rest.startsWith(".") ? rest.slice(1) : rest;
}

function finish(node: Node, parentPath: string, depth: number, names: readonly string[]): Group {
  let inner = node;
  for (;;) {
    const [only] = inner.children.size === 1 ? inner.children.values() : [];
    if (only === undefined || typeof only === "number") break;
    inner = only;
  }
  return {
    path: inner.path,
    label: labelUnder(parentPath, inner.path),
    depth,
    layers: inner.layers,
    children: Array.from(inner.children.values(), (child) => {
      if (typeof child === "number") return child;
      // A group of one is its layer.
      return child.layers.length === 1
        ? (child.layers[0] as number)
        : finish(child, inner.path, depth + 1, names);
    }),
  };
}

/** The tree of these layers: its root is a group without a path. */
export function moduleTree(names: readonly string[], layers: readonly number[]): Group {
  const root: Node = { path: "", layers: [...layers], children: new Map() };
  for (const layer of layers) {
    const name = names[layer] as string;
    let node = root;
    for (const end of pathEnds(name)) {
      const path = name.slice(0, end);
      let child = node.children.get(path) as Node | undefined;
      if (child === undefined) {
        child = { path, layers: [], children: new Map() };
        node.children.set(path, child);
      }
      child.layers.push(layer);
      node = child;
    }
    // No path has this form: a layer never stands where a group of its name does.
    node.children.set(`.${layer}`, layer);
  }
  const children = Array.from(root.children.values(), (child) => {
    if (typeof child === "number") return child;
    return child.layers.length === 1 ? (child.layers[0] as number) : finish(child, "", 0, names);
  });
  return { path: "", label: "", depth: -1, layers: root.layers, children };
}

/** Paths of the groups to open at first: whole levels, while their rows fit; one row is too few. */
export function openAtFirst(root: Group, room: number): Set<string> {
  const open = new Set<string>();
  let level = root.children.filter((child) => typeof child !== "number");
  let rows = root.children.length;
  while (level.length > 0) {
    const more = level.reduce((sum, group) => sum + group.children.length, 0);
    if (rows > 1 && rows + more > room) break;
    rows += more;
    for (const group of level) open.add(group.path);
    level = level.flatMap((group) => group.children.filter((child) => typeof child !== "number"));
  }
  return open;
}

/** Paths of all groups a layer is in. */
export function groupsOf(root: Group, layer: number): string[] {
  const found = root.children.find(
    (child): child is Group => typeof child !== "number" && child.layers.includes(layer),
  );
  return found === undefined ? [] : [found.path, ...groupsOf(found, layer)];
}

export interface TreeOrder {
  readonly values: SortValues;
  readonly ascending: boolean;
  /** What a group is sorted by among its neighbors. */
  groupValue(group: Group): number | string;
}

/** The rows on show: groups, and what is in the open ones, neighbors sorted among themselves. */
export function treeRows(
  root: Group,
  names: readonly string[],
  isOpen: (path: string) => boolean,
  order: TreeOrder | null,
): Row[] {
  const rows: Row[] = [];
  const add = (group: Group): void => {
    for (const child of sorted(group.children, order)) {
      const depth = group.depth + 1;
      if (typeof child === "number") {
        const label = labelUnder(group.path, names[child] as string);
        rows.push({ key: `layer ${child}`, layer: child, group: null, open: false, depth, label });
        continue;
      }
      const open = isOpen(child.path);
      const { label, path } = child;
      rows.push({ key: `group ${path}`, layer: -1, group: child, open, depth, label });
      if (open) add(child);
    }
  };
  add(root);
  return rows;
}

function sorted(
  children: readonly (Group | number)[],
  order: TreeOrder | null,
): readonly (Group | number)[] {
  if (order === null) return children;
  const { values, ascending, groupValue } = order;
  const keyed = children.map((child) => ({
    child,
    value: typeof child === "number" ? (values[child] as number | string) : groupValue(child),
  }));
  // The sort is stable, and children stand in the order of the network.
  keyed.sort((a, b) => compareValues(a.value, b.value, ascending));
  return keyed.map(({ child }) => child);
}

/** The rows of a table without groups. */
export function flatRows(names: readonly string[]): Row[] {
  return names.map((label, layer) => ({
    key: `layer ${layer}`,
    layer,
    group: null,
    open: false,
    depth: 0,
    label,
  }));
}
