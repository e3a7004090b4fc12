/** docs/keras-symbols.md and docs/ops.md name what is exported, and docs/ops.md names all of it. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as keras from '../../frontend/keras/index.js';
import { keras2Symbols } from '../support/keras2-symbols.js';

const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** Identifiers of a text, without parentheses and what is missing. */
const words = (text: string): string[] => text.replace(/\([^)]*\)/g, ' ').match(/\b[A-Za-z][A-Za-z0-9]*\b/g) ?? [];

/** The sections of a page by their headings. */
function sections(text: string): Record<string, string> {
  const parts = text.split(/^## /m).slice(1);
  return Object.fromEntries(parts.map((p) => [p.slice(0, p.indexOf('\n')).trim(), p.slice(p.indexOf('\n'))]));
}

test('every layer that the table says works is exported', () => {
  const table = sections(page('keras-symbols.md')).layers!;
  const cells = table.split('\n').flatMap((l) => (l.startsWith('|') && !l.startsWith('| ---') && !l.startsWith('| Family') ? [l.split('|')[2]!] : []));
  assert.ok(cells.length > 8);
  const skip = new Set([
    'in',
    'and',
    'the',
    'aliases',
    'Convolution',
    'MaxPooling',
    'AveragePooling',
    'GlobalMaxPooling',
    'GlobalAveragePooling',
    'MaxPool',
    'AvgPool',
    'GlobalMaxPool',
    'GlobalAvgPool',
  ]);
  const names = cells.flatMap(words).filter((w) => !skip.has(w) && !/^[123]D$/.test(w) && w !== '1D');
  assert.equal(
    names.filter((n) => !(n in keras.layers)),
    [],
  );
  for (const p of ['MaxPooling', 'AveragePooling', 'GlobalMaxPooling', 'GlobalAveragePooling', 'MaxPool', 'AvgPool', 'GlobalMaxPool', 'GlobalAvgPool'])
    for (const d of [1, 2, 3]) assert.ok(`${p}${d}D` in keras.layers, `${p}${d}D`);
});

test('activations, initializers, regularizers, constraints and utils that are said to work are exported', () => {
  const s = sections(page('keras-symbols.md'));
  const works = (text: string) => text.split('Missing')[0]!;
  const lacking = (text: string, where: object, skip: readonly string[]) => words(text).filter((n) => !skip.includes(n) && !(n in where));
  assert.equal(lacking(works(s.activations!), keras.activations, []), []);
  assert.equal(lacking(works(s.initializers!), keras.initializers, 'their lower case names and functions from shape to values'.split(' ')), []);
  const both = { ...keras.regularizers, ...keras.constraints };
  assert.equal(lacking(works(s['regularizers and constraints']!), both, 'Each with its lower case name get serialize and deserialize'.split(' ')), []);
  assert.equal(lacking(s.utils!.split(';')[0]!, keras.utils, []), []);
});

const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
/** A module of ours by its path, such as `optimizers.schedules`. */
const moduleOf = (name: string): Readonly<Record<string, unknown>> | undefined =>
  name.split('.').reduce<unknown>((at, part) => (part === '' ? at : (at as Record<string, unknown> | undefined)?.[part]), keras) as
    | Readonly<Record<string, unknown>>
    | undefined;

test('every public name of tf.keras (Keras 2) is exported, or the table of modules says that it is missing', () => {
  const rows = sections(page('keras-symbols.md'))
    .modules!.split('\n')
    .filter((l) => l.startsWith('| `'));
  const missing = Object.fromEntries(rows.map((l) => [l.split('`')[1]!, l.split('|')[3]!]));
  for (const [name, symbols] of Object.entries(keras2Symbols)) {
    const here = moduleOf(name);
    const lacking = symbols.filter((n) => !(here && (n in here || camel(n) in here)));
    const said = missing[name || 'tf.keras'];
    assert.ok(said !== undefined, `no row for ${name}`);
    assert.equal(
      lacking.filter((n) => !said.trim().startsWith('all') && !new RegExp(`\\b(${n}|${camel(n)})\\b`).test(said)),
      [],
      name,
    );
  }
});

test('the tables of optimizers, schedules and metrics name what is exported, and all of it', () => {
  const s = sections(page('keras-symbols.md'));
  const classesOf = (where: object, base: abstract new (...args: never[]) => object) =>
    Object.entries(where).flatMap(([name, x]) =>
      typeof x === 'function' && x.prototype instanceof base && !['MeanClass', 'LastClass'].includes(name) ? [name] : [],
    );
  const named = (text: string) => words(text.split(';')[0]!);
  assert.equal(named(s.optimizers!).sort(), classesOf(keras.optimizers, keras.optimizers.Optimizer).sort());
  assert.equal(named(s.metrics!).sort(), classesOf(keras.metrics, keras.metrics.Metric).sort());
  const schedules = words(/`schedules`: ([^.]*)\./.exec(s.optimizers!)![1]!);
  assert.equal(schedules.sort(), classesOf(keras.optimizers.schedules, keras.optimizers.schedules.LearningRateSchedule).sort());
});

test('docs/ops.md lists exactly the functions of ops', () => {
  const s = sections(page('ops.md'));
  const lists = Object.entries(s).filter(([title]) => !title.startsWith('Beside'));
  const listed = lists.flatMap(([, text]) => words(text)).sort();
  const all = [...Object.keys(keras.ops).filter((n) => n !== 'random'), ...Object.keys(keras.ops.random)].sort();
  assert.equal(listed, all);
});

test.run();
