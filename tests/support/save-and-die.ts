/** A process that saves a model over an old file and is killed at the n-th write: `save-and-die.ts FILE N`. Exits with 0 when there were fewer writes. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Input, layers, Sequential, utils } from '../../frontend/keras/index.js';

const [file, at] = [process.argv[2]!, Number(process.argv[3])];
let calls = 0;
const point = () => {
  if (calls++ === at) process.kill(process.pid, 'SIGKILL');
};
const { writeSync, fsyncSync, renameSync, closeSync, openSync } = fs;
// before and after each step that changes the disk
const around =
  <A extends unknown[], R>(f: (...a: A) => R) =>
  (...a: A): R => {
    point();
    const r = f(...a);
    point();
    return r;
  };
Object.assign(fs, {
  writeSync: around(writeSync as (...a: unknown[]) => number),
  fsyncSync: around(fsyncSync),
  renameSync: around(renameSync),
  closeSync: around(closeSync),
  openSync: around(openSync as (...a: unknown[]) => number),
});
syncBuiltinESMExports();
utils.setRandomSeed(2);
const model = Sequential([Input([4]), layers.Dense(3, { name: 'd' })]);
calls = 0;
await model.save(file);
console.log(`points ${calls}`);
