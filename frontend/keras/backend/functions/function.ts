/** `backend.function`: a compiled function from placeholders or inputs to outputs of layers. */
import type { KerasTensor } from '../../layers/node.js';
import { Model } from '../../models/index.js';
import type { ArrayLikeInput, Tensor } from '../../tensor.js';

/** `const f = backend.function([x], [y]); const [value] = await f([array])`. One output that is not in a list gives one tensor. Layers are called as in inference. */
function functionOf(inputs: readonly KerasTensor[], outputs: readonly KerasTensor[]): (values: readonly ArrayLikeInput[]) => Promise<Tensor[]>;
function functionOf(inputs: readonly KerasTensor[], outputs: KerasTensor): (values: readonly ArrayLikeInput[]) => Promise<Tensor>;
function functionOf(inputs: readonly KerasTensor[], outputs: KerasTensor | readonly KerasTensor[]): (values: readonly ArrayLikeInput[]) => Promise<unknown> {
  const model = Model({ inputs, outputs });
  return (values) => (Array.isArray(outputs) ? model.predictAll(values) : model.predict(values));
}

export { functionOf as function };
