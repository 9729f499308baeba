// What QuickJS comes without: UTF-8, and a console, which nobody would see anyway. Texts are valid on both sides: the host sends
// nothing else, and the SDK refuses strings with lone surrogates.

function encode(text) {
  const bytes = [];
  for (const character of text) {
    const code = character.codePointAt(0);
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | code >> 6, tail(code));
    else if (code < 0x10000) bytes.push(0xe0 | code >> 12, tail(code >> 6), tail(code));
    else bytes.push(0xf0 | code >> 18, tail(code >> 12), tail(code >> 6), tail(code));
  }
  return Uint8Array.from(bytes);
}

function tail(code) {
  return 0x80 | code & 0x3f;
}

function decode(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at++];
    const more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let code = more === 0 ? first : first & (0x3f >> more);
    for (let left = more; left > 0; left--) code = code << 6 | bytes[at++] & 0x3f;
    text += String.fromCodePoint(code);
  }
  return text;
}

globalThis.TextEncoder ??= class TextEncoder {
  encode(text = "") {
    return encode(String(text));
  }
};

globalThis.TextDecoder ??= class TextDecoder {
  decode(bytes = new Uint8Array()) {
    return decode(bytes);
  }
};

globalThis.console ??= new Proxy({}, { get: () => () => {} });
