/** How many kernels the light models of ../shared/onnx (or TENON_SHARED/onnx) take, where they are, and the op table of the documentation. The backend cases are jobs of tests/run.ts. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { type TargetInfo, wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { readModel } from '../../frontend/onnx/read.js';
import { page, pageWithTable } from './op-table.js';

const shared = path.join(process.env.TENON_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url)), 'onnx');

test('the op table of docs/onnx.md is that of the registry (node --import tsx tests/onnx/op-table.ts)', () => {
  assert.is(readFileSync(page, 'utf8'), pageWithTable());
});

if (!existsSync(shared)) console.log(`light models not looked at: there is no ${shared}`);
else {
  const limits: readonly (readonly [model: string, target: TargetInfo, kernels: number])[] = [
    ['light_resnet50', wasmTarget(2, false), 58],
    ['light_resnet50', webgpuTarget, 58],
    ['light_squeezenet', wasmTarget(2, false), 34],
    ['light_squeezenet', webgpuTarget, 34],
  ];
  for (const [name, target, kernels] of limits) {
    test(`${name} on ${target.kind}: at most ${kernels} kernels, transposes at its borders only`, async () => {
      const file = path.join(shared, 'light', `${name}.onnx`);
      const model = await OnnxModel.create(await readModel(file), { device: 'reference' });
      const { graph } = model.trace(Object.fromEntries(model.inputs.map((i) => [i.name, { shape: i.shape as number[] }])));
      let turned: string[] = [];
      const { plan } = compile(
        { run: graph },
        {
          target,
          onPass: (pass, _name, g) => {
            if (pass === 'layout') turned = g.nodes.filter((n) => n.op === 'transpose' && n.outputs[0]!.shape.length === 4).map((n) => n.origin);
          },
        },
      );
      const count = plan.programs[0]!.steps.length;
      assert.ok(count <= kernels, `${count} kernels`);
      assert.ok(turned.length <= 1, `transposes at ${turned.join(', ')}`);
    });
  }
}

test.run();
