/** Numbers as the page writes them. */

/** By how many decimals; made once, because making one takes longer than a frame has for a row. */
const DECIMALS = [0, 1, 2].map(
  (digits) =>
    new Intl.NumberFormat("en-US", {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }),
);
const INTEGER = DECIMALS[0] as Intl.NumberFormat;
export const NOTHING = "–";

export function formatInteger(value: number): string {
  return INTEGER.format(value);
}

/** A tolerance as a person would type it: 0, 1e-8, 0.025, 10. */
export function formatTolerance(value: number): string {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return String(value);
  if (value >= 1e-3 && value < 1e6) return String(value);
  return value.toExponential().replace("e+", "e");
}

/** A tolerance rounded for reading, where every digit would be noise. */
export function formatThreshold(value: number): string {
  return formatTolerance(Number(value.toPrecision(3)));
}

/** The size of a response, where it is known. */
export function formatMagnitude(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NOTHING;
  return value < 0 ? `−${formatThreshold(-value)}` : formatThreshold(value);
}

/** A mean or deviation: two decimals below a thousand, one below ten thousand, then none. */
export function formatMean(value: number): string {
  if (!Number.isFinite(value)) return NOTHING;
  const magnitude = Math.abs(value);
  const digits = magnitude < 1000 ? 2 : magnitude < 10000 ? 1 : 0;
  if (magnitude !== 0 && magnitude < 0.005) return value < 0 ? "> -0.01" : "< 0.01";
  return (DECIMALS[digits] as Intl.NumberFormat).format(value);
}

/** A share of one as a percentage that says 0 or 100 only when it is so. */
export function formatShare(share: number): string {
  if (!Number.isFinite(share)) return NOTHING;
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share >= 0.9995) return "> 99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** A range whose ends share a unit: "12.3–14.1 %"; one value when both ends read the same. */
export function formatBracket(
  lower: number,
  upper: number,
  format: (value: number) => string,
): string {
  const low = format(lower);
  const high = format(upper);
  if (low === high) return low;
  if (low.endsWith(" %") && /^\d/.test(low) && /^\d/.test(high)) {
    return `${low.slice(0, -2)}–${high}`;
  }
  return /^\d/.test(high) ? `${low}–${high}` : `${low} – ${high}`;
}

export function formatCounts(lower: number, upper: number): string {
  return formatBracket(lower, upper, formatInteger);
}

export function formatShares(lower: number, upper: number): string {
  return formatBracket(lower, upper, formatShare);
}

/** A shape, with an asterisk for an axis whose length varies: "* × 768". */
export function formatShape(shape: readonly (number | null)[]): string {
  return shape.length === 0 ? "1" : shape.map((size) => size ?? "*").join(" × ");
}

/** Seconds as "0.8 s", "42 s", "3 min 05 s" or "2 h 07 min". */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function formatRate(perSecond: number): string {
  const text =
    perSecond >= 100 ? formatInteger(perSecond) : perSecond.toFixed(perSecond >= 10 ? 0 : 1);
  return `${text} probes/s`;
}

/** Bytes as "184 kB" or "1.2 GB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = bytes;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${size < 9.95 && unit > 0 ? size.toFixed(1) : size.toFixed(0)} ${units[unit]}`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatInteger(count)} ${count === 1 ? one : many}`;
}
