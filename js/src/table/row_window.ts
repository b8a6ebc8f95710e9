/** The rows of a long table that are made: those in view, some around them, the focused one. */

export interface RowWindow {
  readonly first: number;
  /** After the last. */
  readonly end: number;
}

export function rowWindow(
  scrolled: number,
  height: number,
  rowHeight: number,
  rows: number,
  around: number,
): RowWindow {
  if (rowHeight <= 0) return { first: 0, end: Math.min(rows, around) };
  const first = Math.floor(scrolled / rowHeight) - around;
  const end = Math.ceil((scrolled + height) / rowHeight) + around;
  return {
    first: Math.max(0, Math.min(first, rows)),
    end: Math.max(0, Math.min(end, rows)),
  };
}

/** The rows of a window, and the one that has the focus (or -1), ascending. */
export function rowsToMake({ first, end }: RowWindow, focused: number): number[] {
  const rows = Array.from({ length: end - first }, (_, index) => first + index);
  if (focused >= 0 && focused < first) rows.unshift(focused);
  else if (focused >= end) rows.push(focused);
  return rows;
}

/** How far to scroll so that a row is in view between head and foot; unchanged where it is. */
export function scrollFor(
  row: number,
  rowHeight: number,
  scrolled: number,
  height: number,
): number {
  const top = row * rowHeight;
  return Math.min(top, Math.max(scrolled, top + rowHeight - height));
}
