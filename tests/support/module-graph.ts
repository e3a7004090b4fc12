/** The files that a TypeScript file imports, directly and through others; and the packages. Erased (type-only) imports count too. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export function moduleGraph(entry: string): { files: string[]; packages: string[] } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const walk = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    const code = readFileSync(file, 'utf8');
    const found = [...code.matchAll(/^\s*(?:import|export)\s[^'"`;]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|import\(\s*'([^']+)'\s*\)/gm)];
    for (const m of found) {
      const what = (m[1] ?? m[2] ?? m[3])!;
      if (what.startsWith('.')) walk(path.join(path.dirname(file), what.replace(/\.js$/, '.ts')));
      else packages.add(what);
    }
  };
  walk(entry);
  return { files: [...files], packages: [...packages] };
}
