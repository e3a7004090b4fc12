/** Texts that are kept in tests/golden-text: a refactor shows no difference, an optimization shows what it changed. TENON_UPDATE=1 writes them anew. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';

export function expectText(name: string, text: string): void {
  const file = new URL(`../golden-text/${name}`, import.meta.url);
  if (process.env.TENON_UPDATE === '1') {
    writeFileSync(file, text);
    return;
  }
  assert.ok(existsSync(file), `tests/golden-text/${name} is missing; write it with TENON_UPDATE=1`);
  assert.fixture(text, readFileSync(file, 'utf8'), `tests/golden-text/${name} differs; if that is meant, write it anew with TENON_UPDATE=1`);
}
