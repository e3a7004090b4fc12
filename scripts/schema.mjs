/** `npm run schema`: makes frontend/onnx/schema/generated.js from onnx.proto with protobufjs-cli. With a path as argument the module is written there instead. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../frontend/onnx/schema/', import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(folder, 'generated.js'));
const pbjs = createRequire(import.meta.url).resolve('protobufjs-cli/bin/pbjs');
// A root of its own: modules of other schemas in the same program use the default one.
const flags = ['-r', 'tenon-onnx', '--no-create', '--no-verify', '--no-convert', '--no-delimited', '--no-service', '--no-comments', '--keep-case'];
execFileSync(process.execPath, [pbjs, '-t', 'static-module', '-w', 'es6', ...flags, '-o', out, path.join(folder, 'onnx.proto')], { stdio: 'inherit' });
writeFileSync(out, readFileSync(out, 'utf8').replace(/from "protobufjs\/minimal(\.js)?"/, "from 'protobufjs/minimal.js'"));
