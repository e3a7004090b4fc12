/** The package's version, from the package.json above this file (source and build lie at different depths). */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

function find(): string {
  for (let at = path.dirname(fileURLToPath(import.meta.url)); ; at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (existsSync(file)) {
      const json = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string };
      // Builds have a package.json of their own that says the module type.
      if (json.name === 'tenon' && json.version) return json.version;
    }
    if (path.dirname(at) === at) return 'unknown';
  }
}

export const version = find();
