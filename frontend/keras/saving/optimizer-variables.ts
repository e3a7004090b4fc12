/**
 * The variables of an optimizer in the order and under the names of Keras. Here each slot is one flat vector over all weights; Keras has a variable for each slot and weight. New
 * optimizers keep the slots of one weight side by side (m and v of Adam), or all weights' entries of one slot together (RMSprop): each class has its way.
 */
import type { Variable } from '../backend/variable.js';
import type { Optimizer, OptimizerApi } from '../optimizers/index.js';

/** Slots that Keras makes together, weight by weight; other slots follow one after the other. */
const sideBySide: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Adam: [['m', 'v']],
  AdamW: [['m', 'v']],
  Nadam: [['m', 'v']],
  Lamb: [['m', 'v']],
  Adamax: [['m', 'u']],
  Ftrl: [['accumulator', 'linear']],
  Adadelta: [['accumulated_grad', 'accumulated_delta_var']],
  Adafactor: [['r', 'c', 'v']],
  ScheduleFreeAdamW: [['m', 'v']],
  Muon: [['m', 'v']],
};

/** Keras' names where they are not ours. */
const names: Readonly<Record<OptimizerApi, Readonly<Record<string, string>>>> = {
  keras2: { 'SGD momentum': 'm' },
  keras3: { m: 'momentum', v: 'velocity', vhat: 'velocity_hat', u: 'norm' },
  legacy: {
    'RMSprop velocity': 'rms',
    average_gradient: 'mg',
    u: 'v',
    accumulated_grad: 'accum_grad',
    accumulated_delta_var: 'accum_var',
    u_product: 'momentum_cache',
  },
};

/** A variable of the optimizer: the step counter, the learning rate, or a slot of the weight of this number. */
export type OptimizerVariable =
  | { readonly kind: 'iteration'; readonly name: string }
  | { readonly kind: 'learningRate'; readonly name: string }
  /** A number for all weights; of no slot where Keras keeps an unused one. */
  | { readonly kind: 'scalar'; readonly name: string; readonly slot: string | null }
  | { readonly kind: 'slot'; readonly name: string; readonly slot: string; readonly kerasSlot: string; readonly weight: number };

/** All variables, in Keras' order, for these weights. */
export function optimizerVariables(o: Optimizer, api: OptimizerApi, weights: readonly Variable[]): OptimizerVariable[] {
  const own = o.slotNames().filter((s) => !(api === 'keras3' && o.className === 'SGD' && slotless(o) && s === 'momentum'));
  // the new SGD of Keras 2 has momentum vectors even without momentum
  const slots = api === 'keras2' && o.className === 'SGD' && own.length === 0 ? ['momentum'] : own;
  const together = api === 'legacy' && o.className !== 'Ftrl' ? [] : (sideBySide[o.className] ?? []);
  const grouped = together.map((g) => g.filter((s) => slots.includes(s))).filter((g) => g.length > 0);
  const groups = [
    ...(o.useEma ? [['average']] : []),
    ...(o.gradientAccumulationSteps ? [['gradient_accumulator']] : []),
    ...grouped,
    ...slots.filter((s) => !grouped.flat().includes(s)).map((s) => [s]),
  ];
  const prefix = api === 'keras3' ? o.name : o.className;
  const kerasSlot = (slot: string): string => names[api][`${o.className} ${slot}`] ?? names[api][slot] ?? slot;
  const nameOf = (slot: string, weight: string): string => {
    if (api === 'legacy') return `${prefix}/${weight}/${kerasSlot(slot)}`;
    return api === 'keras2' ? `${prefix}/${kerasSlot(slot)}/${weight}` : `${prefix}/${weight.replaceAll('/', '_')}_${kerasSlot(slot)}`;
  };
  const iteration = api === 'legacy' ? `${prefix}/iter` : api === 'keras2' ? 'iteration' : `${prefix}/iteration`;
  const partOf = (slot: string, weight: number): OptimizerVariable[] => {
    const name = nameOf(slot, weights[weight]!.path);
    if (o.slotShape(slot, weights[weight]!)) return [{ kind: 'slot', name, slot, kerasSlot: kerasSlot(slot), weight }];
    // Keras 3 has numbers in the places of Adafactor's rows and columns of vectors
    return api === 'keras3' && o.className === 'Adafactor' ? [{ kind: 'scalar', name, slot: null }] : [];
  };
  // tf_keras 2 does not save the product of Nadam's momenta
  const scalars = Object.keys(o.scalarSlots()).map((slot): OptimizerVariable => ({ kind: 'scalar', name: `${prefix}/${kerasSlot(slot)}`, slot }));
  return [
    { kind: 'iteration', name: iteration },
    ...(api === 'keras3' && !o.schedule ? [{ kind: 'learningRate' as const, name: `${prefix}/learning_rate` }] : []),
    ...(api === 'legacy' ? scalars : []),
    ...groups.flatMap((group) => weights.flatMap((_, weight) => group.flatMap((slot) => partOf(slot, weight)))),
    ...(api === 'keras3' ? scalars : []),
  ];
}

const slotless = (o: Optimizer): boolean => (o.getConfig() as { momentum?: number }).momentum === 0;
