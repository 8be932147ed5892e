// A QR code: ISO/IEC 18004, bytes, error correction M, versions 1 to 10 (213 octets at most).

/** Of each version: error correction octets a block, and data octets of each block. */
const BLOCKS = [
  [10, [16]],
  [16, [28]],
  [26, [44]],
  [18, [32, 32]],
  [24, [43, 43]],
  [16, [27, 27, 27, 27]],
  [18, [31, 31, 31, 31]],
  [22, [38, 38, 39, 39]],
  [22, [36, 36, 36, 37, 37]],
  [26, [43, 43, 43, 43, 44]],
];
/** Centres of the alignment patterns. */
const ALIGNED = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];
const MASKS = [
  (y, x) => (y + x) % 2,
  (y) => y % 2,
  (y, x) => x % 3,
  (y, x) => (y + x) % 3,
  (y, x) => ((y >> 1) + Math.floor(x / 3)) % 2,
  (y, x) => ((y * x) % 2) + ((y * x) % 3),
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2,
];

// Arithmetic in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1.
const EXP = [],
  LOG = [];
for (let n = 0, value = 1; n < 255; n++) {
  EXP[n] = value;
  LOG[value] = n;
  value = value < 128 ? value * 2 : (value * 2) ^ 285;
}
const times = (a, b) => (a && b ? EXP[(LOG[a] + LOG[b]) % 255] : 0);

/** The Reed-Solomon octets of a block. */
function correction(data, count) {
  let generator = [1];
  for (let n = 0; n < count; n++) {
    const next = [...generator, 0];
    generator.forEach((value, at) => (next[at + 1] ^= times(value, EXP[n])));
    generator = next;
  }
  const rest = [...data, ...new Array(count).fill(0)];
  data.forEach((_, at) => {
    const lead = rest[at];
    generator.forEach((value, n) => (rest[at + n] ^= times(value, lead)));
  });
  return rest.slice(data.length);
}

/** All octets as they are laid out, for the smallest version that holds them. */
function layOut(octets) {
  const room = ([, blocks]) => blocks.reduce((sum, n) => sum + n, 0);
  const needed = (version) => octets.length + (version < 9 ? 2 : 3);
  const version = BLOCKS.findIndex((one, n) => room(one) >= needed(n));
  if (version < 0) throw new RangeError("too long for a QR code");
  const [count, sizes] = BLOCKS[version];
  const bits = [];
  const put = (value, length) => {
    for (let n = length - 1; n >= 0; n--) bits.push((value >> n) & 1);
  };
  put(4, 4);
  put(octets.length, version < 9 ? 8 : 16);
  for (const octet of octets) put(octet, 8);
  put(0, Math.min(4, room(BLOCKS[version]) * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  const data = [];
  for (let n = 0; n < bits.length; n += 8) data.push(parseInt(bits.slice(n, n + 8).join(""), 2));
  for (let pad = 236; data.length < room(BLOCKS[version]); pad ^= 253) data.push(pad);
  let from = 0;
  const blocks = sizes.map((size) => data.slice(from, (from += size)));
  const checks = blocks.map((block) => correction(block, count));
  const woven = (parts) =>
    [...Array(Math.max(...parts.map((part) => part.length))).keys()].flatMap((n) =>
      parts.filter((part) => n < part.length).map((part) => part[n]),
    );
  return { version: version + 1, all: [...woven(blocks), ...woven(checks)] };
}

/** A code of `value` with its remainder by a polynomial behind it. */
function checked(value, polynomial, length) {
  let rest = value << length;
  for (let bit = 31; bit >= length; bit--) if ((rest >>> bit) & 1) rest ^= polynomial << (bit - length);
  return (value << length) | rest;
}

/** The squares: rows of true (dark) and false. */
export function squares(text) {
  const { version, all } = layOut([...new TextEncoder().encode(text)]);
  const size = 17 + 4 * version;
  const grid = [...Array(size)].map(() => Array(size).fill(null));
  const set = (y, x, dark) => {
    if (grid[y] && x >= 0 && x < size) grid[y][x] = dark;
  };
  for (const [top, left] of [[0, 0], [0, size - 7], [size - 7, 0]])
    for (let y = -1; y < 8; y++)
      for (let x = -1; x < 8; x++) {
        const ring = Math.max(Math.abs(y - 3), Math.abs(x - 3));
        set(top + y, left + x, ring !== 2 && ring !== 4);
      }
  const centres = ALIGNED[version - 1];
  for (const cy of centres)
    for (const cx of centres) {
      if (grid[cy][cx] !== null) continue;
      for (let y = -2; y < 3; y++)
        for (let x = -2; x < 3; x++) set(cy + y, cx + x, Math.max(Math.abs(y), Math.abs(x)) !== 1);
    }
  for (let n = 8; n < size - 8; n++) {
    if (grid[6][n] === null) grid[6][n] = n % 2 === 0;
    if (grid[n][6] === null) grid[n][6] = n % 2 === 0;
  }
  const places = [];
  const info = (mask) => {
    // Error correction M is 00.
    const format = checked(mask, 0x537, 10) ^ 0x5412;
    for (let n = 0; n < 15; n++) {
      const dark = ((format >> n) & 1) === 1;
      set(n < 6 ? n : n < 8 ? n + 1 : size - 15 + n, 8, dark);
      set(8, n < 8 ? size - 1 - n : n < 9 ? 7 : 14 - n, dark);
    }
    set(size - 8, 8, true);
    const number = version > 6 ? checked(version, 0x1f25, 12) : 0;
    for (let n = 0; version > 6 && n < 18; n++) {
      const dark = ((number >> n) & 1) === 1;
      set(Math.floor(n / 3), size - 11 + (n % 3), dark);
      set(size - 11 + (n % 3), Math.floor(n / 3), dark);
    }
  };
  info(0);
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    const up = ((right + 1) & 2) === 0;
    for (let n = 0; n < size; n++)
      for (const x of [right, right - 1]) {
        const y = up ? size - 1 - n : n;
        if (grid[y][x] === null) places.push([y, x]);
      }
  }
  const bit = (n) => n < all.length * 8 && ((all[n >> 3] >> (7 - (n & 7))) & 1) === 1;
  const masked = MASKS.map((mask, number) => {
    info(number);
    places.forEach(([y, x], n) => (grid[y][x] = bit(n) !== (mask(y, x) === 0)));
    return grid.map((row) => [...row]);
  });
  return masked.reduce((best, one) => (penalty(one) < penalty(best) ? one : best));
}

/** How hard a code is to read. */
function penalty(grid) {
  const size = grid.length;
  let sum = 0;
  const lines = [...grid, ...grid.map((_, x) => grid.map((row) => row[x]))];
  for (const line of lines) {
    const text = line.map(Number).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) || []) sum += run.length - 2;
    sum += 40 * (text.match(/(?=00001011101|10111010000)/g) || []).length;
  }
  for (let y = 1; y < size; y++)
    for (let x = 1; x < size; x++)
      if (new Set([grid[y][x], grid[y - 1][x], grid[y][x - 1], grid[y - 1][x - 1]]).size === 1) sum += 3;
  const dark = grid.flat().filter(Boolean).length / size ** 2;
  return sum + 10 * Math.floor(Math.abs(dark * 20 - 10));
}

/** As a picture, with the quiet zone around it; `words` tell what it is. */
export function picture(text, words) {
  const grid = squares(text);
  const size = grid.length + 8;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 " + size + " " + size);
  svg.setAttribute("class", "qr");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  const path = document.createElementNS(space, "path");
  const row = (cells, y) => cells.map((dark, x) => (dark ? "M" + (x + 4) + " " + (y + 4) + "h1v1h-1z" : "")).join("");
  path.setAttribute("d", grid.map(row).join(""));
  svg.append(path);
  return svg;
}
