/** The op table of docs/onnx.md, from the registry. `node --import tsx tests/onnx/op-table.ts` writes it into the page. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { families } from '../../frontend/onnx/ops/index.js';

export const page = fileURLToPath(new URL('../../docs/onnx.md', import.meta.url));
const [begin, end] = ['<!-- ops -->', '<!-- /ops -->'];

export function opTable(): string {
  const lines = Object.entries(families).map(([family, ops]) => {
    const names = ops.map((o) => `${o.domain ? `${o.domain}.` : ''}${o.name} ${o.versions.join(' ')}`);
    return `| ${family} | ${names.join(', ')} |`;
  });
  return [
    `${Object.values(families).flat().length} ops, each with the opset versions at which its definition changed:`,
    '',
    '| family | ops |',
    '| --- | --- |',
    ...lines,
  ].join('\n');
}

/** The page with the table as it should be. */
export function pageWithTable(): string {
  const text = readFileSync(page, 'utf8');
  return `${text.slice(0, text.indexOf(begin) + begin.length)}\n${opTable()}\n${text.slice(text.indexOf(end))}`;
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) writeFileSync(page, pageWithTable());
