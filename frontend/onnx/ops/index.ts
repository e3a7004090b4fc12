/** The table of all ops, by domain and name. */
import type { OpEntry } from '../registry.js';
import { activationOps } from './activation.js';
import { attentionOps } from './attention.js';
import { controlOps } from './control.js';
import { convolutionOps } from './convolution.js';
import { elementwiseOps } from './elementwise.js';
import { imageOps } from './image.js';
import { indexingOps } from './indexing.js';
import { linearOps } from './linear.js';
import { lossOps } from './losses.js';
import { microsoftOps } from './microsoft.js';
import { normalizationOps } from './normalization.js';
import { poolingOps } from './pooling.js';
import { quantizedOps } from './quantized.js';
import { randomOps } from './random.js';
import { recurrentOps } from './recurrent.js';
import { reductionOps } from './reduction.js';
import { shapeOps } from './shape.js';
import { signalOps } from './signal.js';
import { textOps } from './text.js';

/** Families in the order of the documentation. */
export const families: Readonly<Record<string, readonly OpEntry[]>> = {
  elementwise: elementwiseOps,
  activation: activationOps,
  reduction: reductionOps,
  shape: shapeOps,
  indexing: indexingOps,
  linear: linearOps,
  convolution: convolutionOps,
  pooling: poolingOps,
  normalization: normalizationOps,
  recurrent: recurrentOps,
  attention: attentionOps,
  quantized: quantizedOps,
  image: imageOps,
  signal: signalOps,
  control: controlOps,
  'losses and training': lossOps,
  text: textOps,
  random: randomOps,
  microsoft: microsoftOps,
};

const table = new Map<string, OpEntry>(
  Object.values(families)
    .flat()
    .map((e) => [`${e.domain}:${e.name}`, e]),
);

export const findOp = (domain: string, name: string): OpEntry | undefined => table.get(`${domain}:${name}`);
