/** Decodes base64, also a great deal of it. */

interface Base64Decoder {
  fromBase64?(text: string): Uint8Array<ArrayBuffer>;
}

/** @throws if the text is not base64. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const own = (Uint8Array as Base64Decoder).fromBase64;
  if (own !== undefined) return own.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}
