/** Finds the row of a list that a key moves to. */

/** The row, within the list; null where the key is none of those that move. */
export function rowAfterKey(key: string, row: number, rows: number, page: number): number | null {
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -rows,
    End: rows,
  };
  const step = steps[key];
  return step === undefined ? null : Math.max(0, Math.min(rows - 1, row + step));
}
