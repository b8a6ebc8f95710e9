/** Snapshots as the kernel packs them, for tests. */

const WIDTHS = { u1: 1, u2: 2, u4: 4, f4: 4, f8: 8 } as const;

export interface PackedArray {
  readonly dtype: keyof typeof WIDTHS;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export interface PackOptions {
  readonly magic?: string;
  readonly version?: number;
  /** Where the snapshot starts in its buffer. */
  readonly byteOffset?: number;
}

function roundUp(value: number): number {
  return Math.ceil(value / 8) * 8;
}

function write(view: DataView, array: PackedArray, offset: number): void {
  array.values.forEach((value, index) => {
    const at = offset + index * WIDTHS[array.dtype];
    if (array.dtype === "u1") view.setUint8(at, value);
    else if (array.dtype === "u2") view.setUint16(at, value, true);
    else if (array.dtype === "u4") view.setUint32(at, value, true);
    else if (array.dtype === "f4") view.setFloat32(at, value, true);
    else view.setFloat64(at, value, true);
  });
}

export function pack(
  meta: object,
  arrays: Readonly<Record<string, PackedArray>>,
  { magic = "IUAW", version = 3, byteOffset = 0 }: PackOptions = {},
): DataView {
  const room = 512 + JSON.stringify(meta).length;
  const headerLength = roundUp(16 + room) - 16;
  const entries: Record<string, object> = {};
  let end = 16 + headerLength;
  for (const [name, { dtype, shape, values }] of Object.entries(arrays)) {
    entries[name] = { dtype, shape, offset: end };
    end = roundUp(end + values.length * WIDTHS[dtype]);
  }
  const header = new TextEncoder().encode(JSON.stringify({ meta, arrays: entries }));
  const buffer = new ArrayBuffer(byteOffset + end + 5);
  const view = new DataView(buffer, byteOffset, end);
  const bytes = new Uint8Array(buffer, byteOffset, end);
  bytes.set(new TextEncoder().encode(magic));
  view.setUint32(4, version, true);
  view.setUint32(8, headerLength, true);
  bytes.fill(32, 16, 16 + headerLength);
  bytes.set(header, 16);
  for (const [name, array] of Object.entries(arrays)) {
    write(view, array, (entries[name] as { offset: number }).offset);
  }
  return view;
}

export function layerMeta(name: string, units: number, changes: object = {}): object {
  return {
    name,
    kind: "ReLU",
    dtype: "float32",
    shape: [units],
    response_shape: [units],
    unit: "element",
    channels: null,
    load: null,
    share_at_bound: null,
    masked: 0,
    stops: 71,
    units,
    probes: 10,
    nan: 0,
    infinite: 0,
    finite_probes: 10,
    mean_abs: 0.5,
    ...changes,
  };
}
