/** The test runner's counting and the import checker: both must be able to fail. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { closingLine, uvuTotals } from './run.js';

const colour = (s: string) => `\x1b[32m${s}\x1b[39m`;

test('uvu totals are summed, colours stripped', () => {
  const text = `${colour('  Total:     5')}\n  Passed:    4\n  Skipped:   2\n`;
  assert.equal(uvuTotals(text, 1), { passed: 4, failed: 1, skipped: 2 });
});

test('a file that forgot run() has failed', () => {
  assert.equal(uvuTotals('\n  Total:     0\n  Passed:    0\n  Skipped:   0\n', 0), { passed: 0, failed: 1, skipped: 0 });
  assert.equal(uvuTotals('', 0).failed, 1);
});

test('a late exception after passing tests is a failure', () => {
  assert.equal(uvuTotals('  Total:     3\n  Passed:    3\n  Skipped:   0\n', 1), { passed: 3, failed: 1, skipped: 0 });
});

test('the closing line is the last one', () => {
  assert.equal(closingLine('1 passed, 2 failed\nmore\n10 passed, 0 failed, 3 skipped\n'), { passed: 10, failed: 0, skipped: 3 });
  assert.is(closingLine('nothing'), null);
});

/** Runs the import checker over a made-up tree. */
function checkImports(files: Record<string, string>): { code: number | null; output: string } {
  const dir = mkdtempSync(path.join(tmpdir(), 'tenon-imports-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
  const { status, stdout } = spawnSync(process.execPath, [fileURLToPath(new URL('../scripts/check-imports.mjs', import.meta.url)), dir], { encoding: 'utf8' });
  rmSync(dir, { recursive: true });
  return { code: status, output: stdout };
}

test('the import checker accepts the arrows', () => {
  const { code, output } = checkImports({
    'ir/a.ts': "import type { B } from './b.js';\nexport const a = 1 as unknown as B;\n",
    'ir/b.ts': "import { a } from './a.js';\nexport type B = typeof a;\n",
    'passes/p.ts': "import { a } from '../ir/a.js';\nexport const p = a;\n",
    'codegen/c.ts': "import type { Plan } from '../runtime/plan.js';\nimport { p } from '../passes/p.js';\nexport const c = p as unknown as Plan;\n",
    'runtime/plan.ts': "export type Plan = number;\nexport const load = () => import('node:fs');\n",
  });
  assert.is(code, 0, output);
});

test('the import checker finds arrows against the direction, packages, missing files and circles', () => {
  const { code, output } = checkImports({
    'ir/a.ts': "import { p } from '../passes/p.js';\nexport const a = p;\n",
    'passes/p.ts': "import { q } from './q.js';\nimport {\n  fs,\n} from 'node:fs';\nexport const p = [q, fs];\n",
    'passes/q.ts': "import { p } from './p.js';\nexport { x } from './gone.js';\nexport const q = p;\n",
    'runtime/r.ts': "import { a } from '../ir/a.js';\nimport fs from 'node:fs';\nexport const r = [a, fs];\n",
    'frontend/keras/layers/l.ts': "import { c } from '../../../codegen/compile.js';\nexport const l = c;\n",
    'codegen/compile.ts': "import { r } from '../runtime/r.js';\nexport const c = r;\n",
  });
  assert.is(code, 1);
  for (const part of [
    'ir/a.ts: may not import passes/p.ts',
    "passes/p.ts: may not import the package 'node:fs'",
    'passes/q.ts: imports ./gone.js, which is not there',
    'circle: passes/p.ts -> passes/q.ts -> passes/p.ts',
    'runtime/r.ts: may not import ir/a.ts',
    "runtime/r.ts: may not import the package 'node:fs' except by import()",
    'frontend/keras/layers/l.ts: may not import codegen/compile.ts',
    'codegen/compile.ts: may not import runtime/r.ts',
  ]) {
    assert.ok(output.includes(part), `${part} is not in\n${output}`);
  }
});

test.run();
