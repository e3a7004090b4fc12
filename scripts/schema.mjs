/**
 * `npm run schema`: makes frontend/onnx/schema/generated.js and frontend/formats/tensorflow/generated.js from the .proto files beside them, with protobufjs-cli. With a path as argument
 * the module of ONNX is written there instead; with a second one, that of TensorFlow.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const pbjs = createRequire(import.meta.url).resolve('protobufjs-cli/bin/pbjs');

/** `root`: one of its own for each schema, since modules of other schemas in the same program use the default one. */
function make(root, proto, out) {
  const flags = ['-r', root, '--no-create', '--no-verify', '--no-convert', '--no-delimited', '--no-service', '--no-comments', '--keep-case'];
  execFileSync(process.execPath, [pbjs, '-t', 'static-module', '-w', 'es6', ...flags, '-o', out, proto], { stdio: 'inherit' });
  writeFileSync(out, readFileSync(out, 'utf8').replace(/from "protobufjs\/minimal(\.js)?"/, "from 'protobufjs/minimal.js'"));
}

const [onnx, tensorflow] = ['../frontend/onnx/schema/', '../frontend/formats/tensorflow/'].map((p) => fileURLToPath(new URL(p, import.meta.url)));
const [outOnnx, outTensorflow] = process.argv.slice(2);
make('tenon-onnx', path.join(onnx, 'onnx.proto'), path.resolve(outOnnx ?? path.join(onnx, 'generated.js')));
if (!outOnnx || outTensorflow)
  make('tenon-tensorflow', path.join(tensorflow, 'tensorflow.proto'), path.resolve(outTensorflow ?? path.join(tensorflow, 'generated.js')));
