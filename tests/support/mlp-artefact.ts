/** The model of mlp.ts, compiled for both targets as `tenon compile` does. */
import { artefactFiles } from '../../cli/artefact.js';
import { targetInfo, targetNames } from '../../cli/targets.js';
import { compile } from '../../codegen/compile.js';
import { mlp } from './mlp.js';

export const mlpArtefact = (): Map<string, Uint8Array> =>
  artefactFiles(
    targetNames.map((t) => compile(mlp.programs(), { target: targetInfo(t), name: mlp.name, verify: true })),
    null,
  );
