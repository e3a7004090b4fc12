/**
 * A large H5 file of the real Keras (ResNet50, about 100 MB) in the built package: every weight to the bit, and at most 2.2 times the file in memory, the process with it. How long it
 * takes is measured by `npm run bench -- --load`.
 */
import { statSync } from 'node:fs';
import path from 'node:path';
import { buildPackage, loadByPackage, makeResNet, memoryWanted, readByH5py } from '../../bench/load.js';

type Check = (name: string, fault: string | null) => void;

export function checkLoading(python: string, dir: string, check: Check): void {
  const file = path.join(dir, 'resnet50.h5');
  makeResNet(python, file);
  buildPackage();
  const { size } = statSync(file);
  const theirs = readByH5py(python, file);
  const ours = loadByPackage(file);
  check("ResNet50's H5: is about 100 MB of 320 arrays", size > 95e6 && theirs.digests.length === 320 ? null : `${size} bytes, ${theirs.digests.length} arrays`);
  check("ResNet50's H5: every weight", ours.digests.join() === theirs.digests.join() ? null : 'weights differ from what h5py reads');
  const most = memoryWanted * size;
  check(
    "ResNet50's H5: memory",
    ours.peak! <= most ? null : `the process took ${(ours.peak! / 1e6).toFixed(0)} MB at most, expected ${(most / 1e6).toFixed(0)}, 2.2 times the file`,
  );
}
