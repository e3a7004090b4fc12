/** Tuning with an injected clock, so that nothing hangs on time: what is chosen is stored in the plan, compiles again from there, and computes the same. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { tune } from '../../cli/tune.js';
import { compile } from '../../codegen/compile.js';
import { parseSchedule, printSchedule } from '../../codegen/schedule.js';
import { wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { randomArguments } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';
import { lstmStep } from '../support/train-graphs.js';
import { openSoftwareDevice } from '../support/webgpu.js';

/** Every measurement seems shorter than the one before: the last neighbour that is tried always wins. */
function hurry(factor: number): () => number {
  let [t, step] = [0, 1];
  return () => {
    t += step;
    step *= factor;
    return t;
  };
}

for (const [name, target, open] of [
  ['WASM', wasmTarget(2, false), () => openWasmDevice({ threads: 2 })],
  ['WebGPU', webgpuTarget, () => openSoftwareDevice()],
] as const) {
  test(`a tuned plan on ${name} stores its schedules and computes the same`, async () => {
    const device = await open();
    if (!device) return;
    const graph = lstmStep(3, 4, 5, 2);
    const tuned = await tune({ main: graph }, device, { target, seconds: 0.15, now: hurry(0.995) });
    const { plan } = tuned.compiled;
    assert.ok(tuned.changed.length > 0 && tuned.tried <= tuned.regions);
    for (const c of tuned.changed) {
      assert.is(plan.schedules[c.key], c.to);
      assert.is(printSchedule(parseSchedule(c.to)), c.to);
      assert.not.equal(c.to, c.from);
    }
    assert.equal(JSON.stringify(compile({ main: graph }, { target, schedules: plan.schedules }).plan), JSON.stringify(plan));
    const args = randomArguments(graph, 3);
    const [found, expected] = [await runOnDevice(graph, args, device, target, plan.schedules), runReference(graph, args)];
    // Adam's step hangs on the sign of gradients that are next to nothing: its moments are compared
    for (const key of ['adam/m', 'adam/v']) assert.ok(deviation(found.updates[key]!, expected.updates[key]!, 1e-3, 1e-4) <= 1, key);
    await device.dispose();
  });
}

test('no time: nothing is measured and the plan is the default', async () => {
  const device = await openWasmDevice({ threads: 1 });
  const graph = lstmStep(3, 4, 5, 2);
  let t = 0;
  const tuned = await tune({ main: graph }, device, { target: wasmTarget(1, false), seconds: 1, now: () => (t += 5000) });
  assert.equal([tuned.tried, tuned.changed], [0, []]);
  assert.equal(JSON.stringify(tuned.compiled.plan), JSON.stringify(compile({ main: graph }, { target: wasmTarget(1, false) }).plan));
  await device.dispose();
});

test('the options are checked', async () => {
  let err = '';
  const code = await runCli(['compile', 'x.ts', '-o', 'none', '--tune', '--tune-seconds', '0'], { out: () => {}, err: (t) => (err += t) });
  assert.is(code, 2);
  assert.match(err, /--tune-seconds must be a positive integer, found '0'/);
});

test.run();
