/** Configurations of every layer class beside those of the real Keras for the same arguments; each side reads the other's and writes it again as it was. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Layer } from '../../frontend/keras/index.js';
import { deserialize, layerClasses } from '../../frontend/keras/layers/serialization.js';
import type { Json, JsonObject, Semantics } from '../../frontend/keras/utils/serialization.js';
import { optionsOfConfig } from '../../frontend/keras/utils/serialization.js';
import { comparable } from '../golden/layers.js';
import { type ConfigCase, configCases } from '../support/layer-configs.js';

type Case = (typeof configCases)[number];
const semanticsOf = (version: 2 | 3): Semantics => (version === 2 ? 'keras2' : 'keras3');

/** The layer of a case, built by its class. */
export function layerOf(c: Pick<ConfigCase, 'cls' | 'args'>, semantics: Semantics): Layer {
  const inner = (x: Json): unknown => {
    if (Array.isArray(x)) return x.map(inner);
    if (typeof x !== 'object' || x === null || !('layer' in x) || typeof x.layer !== 'string') return x;
    const { layer, ...args } = x;
    return layerOf({ cls: layer, args: args as JsonObject }, semantics);
  };
  const cls = layerClasses[c.cls] as unknown as new (o: object) => Layer;
  return new cls({ ...optionsOfConfig(Object.fromEntries(Object.entries(c.args).map(([k, v]) => [k, inner(v)])) as JsonObject), semantics });
}
const written = (c: Case, version: 2 | 3): JsonObject => layerOf({ cls: c.cls, args: { ...c.args, name: c.name } }, semanticsOf(version)).getConfig();

/** Writes the cases, and our configurations. */
export function writeLayerConfigs(dir: string): void {
  writeFileSync(path.join(dir, 'layer-configs.json'), JSON.stringify(configCases));
  for (const version of [2, 3] as const) {
    const mine = configCases.filter((c) => c.keras.includes(version)).map((c) => [c.name, written(c, version)]);
    writeFileSync(path.join(dir, `layer-configs.ours${version}.json`), JSON.stringify(Object.fromEntries(mine)));
  }
}

interface Found {
  readonly config?: JsonObject;
  readonly error?: string;
}
const text = (x: unknown): string => JSON.stringify(comparable(x));
/** The first option that differs. */
function different(what: string, ours: JsonObject, theirs: Found): string | null {
  if (!theirs.config) return `${what}: ${theirs.error}`;
  const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs.config)])];
  const own = comparable(ours) as JsonObject;
  const other = comparable(theirs.config) as JsonObject;
  const key = keys.find((k) => JSON.stringify(own[k]) !== JSON.stringify(other[k]));
  return key === undefined ? null : `${what}: ${key} is ${JSON.stringify(own[key])} here, ${JSON.stringify(other[key])} there`;
}

/** One line for each case: null, or what differs. */
export function compareLayerConfigs(dir: string, version: 2 | 3): (readonly [string, string | null])[] {
  const results = JSON.parse(readFileSync(path.join(dir, `layer-configs.keras${version}.json`), 'utf8')) as Record<string, { theirs: Found; again: Found }>;
  return configCases
    .filter((c) => c.keras.includes(version))
    .map((c) => {
      const { theirs, again } = results[c.name]!;
      const ours = written(c, version);
      const label = `${c.cls} ${text(c.args)}: configuration as keras ${version}`;
      const fault = different('for the same arguments', ours, theirs) ?? different('read and written there', ours, again);
      if (fault !== null) return [label, fault] as const;
      const read = deserialize({ class_name: c.cls, config: theirs.config! }, { semantics: semanticsOf(version) }).getConfig();
      return [label, different('read and written here', read, theirs)] as const;
    });
}
