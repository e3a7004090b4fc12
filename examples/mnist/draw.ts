/** Draws digits in a terminal: two rows of pixels in one row of text, by half blocks in shades of grey, or by letters where there is no colour. */

const size = 28;

/** One image as 14 rows of text. */
export function digitRows(image: Float32Array, colour: boolean): string[] {
  const rows: string[] = [];
  for (let y = 0; y < size; y += 2) {
    let line = '';
    for (let x = 0; x < size; x++) {
      const [top, bottom] = [image[y * size + x]!, image[(y + 1) * size + x]!];
      // The 24 greys of a 256-colour terminal are colours 232 (black) to 255 (white).
      if (colour) line += `\x1b[38;5;${232 + Math.round(top * 23)}m\x1b[48;5;${232 + Math.round(bottom * 23)}m\u2580`;
      else line += ' .:-=+*#%@'[Math.round(((top + bottom) / 2) * 9)];
    }
    rows.push(colour ? `${line}\x1b[0m` : line);
  }
  return rows;
}

/** Images side by side with a caption under each. */
export function drawDigits(images: readonly Float32Array[], captions: readonly string[], colour: boolean): string {
  const blocks = images.map((i) => digitRows(i, colour));
  const lines = Array.from({ length: size / 2 }, (_, r) => blocks.map((b) => b[r]).join('  '));
  return [...lines, captions.map((c) => c.padEnd(size)).join('  ')].join('\n');
}
