/** Average pooling that does not count the padding, pooling over all of space, and resizing. Max pooling is a primitive already. */
import { isStatic } from '../../../../ir/dim.js';
import { paddingOf } from '../../../keras/layers/convolutional.js';
import type { DataFormat } from '../../../keras/layers/core.js';
import type { Layer } from '../../../keras/layers/layer.js';
import type { ResizingClass } from '../../../keras/layers/preprocessing/image.js';
import type { LayerCall } from '../observer.js';
import { type Attrs, type Form, shapeIn, type Writer } from '../writer.js';

/** What the layers of this file have in common. */
interface Spatial extends Layer {
  readonly rank: number;
  readonly dataFormat: DataFormat;
}

const formOf = (layer: Spatial): Form => (layer.dataFormat === 'channels_last' ? 'channelsFirst' : 'plain');

export function averagePooling(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as Spatial & { readonly poolSize: readonly number[]; readonly strides: readonly number[]; readonly padding: 'valid' | 'same' };
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const first = layer.dataFormat === 'channels_last' ? 1 : 2;
  const sizes = x.shape.slice(first, first + layer.rank);
  if (!sizes.every(isStatic)) return false;
  const pads = sizes.map((n, i) => paddingOf(layer.padding, n, layer.poolSize[i]!, layer.strides[i]!, 1));
  const form = formOf(layer);
  w.emit(
    y,
    'AveragePool',
    [w.name(x, form)],
    { kernel_shape: layer.poolSize, strides: layer.strides, pads: [...pads.map((p) => p[0]), ...pads.map((p) => p[1])], count_include_pad: 0 },
    form,
  );
  return true;
}

export function globalPooling(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as Spatial & { readonly keepdims: boolean };
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  if (call.masked) return false;
  const form = formOf(layer);
  const op = layer.className.startsWith('GlobalMax') ? 'GlobalMaxPool' : 'GlobalAveragePool';
  const inputs = [w.name(x, form)];
  if (layer.keepdims) w.emit(y, op, inputs, {}, form);
  else w.emit(y, 'Flatten', w.node(op, inputs, {}, { hint: `${layer.name}/pool` }), { axis: 1 });
  return true;
}

export function upSampling(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as Spatial & { readonly size: readonly number[]; readonly interpolation: string };
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const mode = { nearest: 'nearest', bilinear: 'linear' }[layer.interpolation];
  if (mode === undefined) return false;
  const form = formOf(layer);
  const scales = w.constant('float32', [layer.rank + 2], [1, 1, ...layer.size], 'scales');
  const attrs: Attrs = {
    mode,
    ...(mode === 'nearest' ? { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' } : { coordinate_transformation_mode: 'half_pixel' }),
  };
  w.emit(y, 'Resize', [w.name(x, form), '', scales], attrs, form);
  return true;
}

/** Bilinear without antialiasing; the other methods are gathers and sums of rows, as their taps are rounded in their own ways. */
export function resizing(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as ResizingClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  if (layer.interpolation !== 'bilinear' || layer.antialias || layer.cropToAspectRatio || x.shape.length !== 4) return false;
  const form: Form = layer.dataFormat === 'channels_last' ? 'channelsFirst' : 'plain';
  const attrs: Attrs = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' };
  w.emit(y, 'Resize', [w.name(x, form), '', '', w.shape(shapeIn(form, y.shape))], attrs, form);
  return true;
}
