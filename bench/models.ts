/**
 * The benchmark's models in Tenon's Keras API, with the weights that the benchmark defines: seeded uniform values, one seed for each weight in the order of
 * definition. Weight matrices are He-scaled, limit `gain * sqrt(6 / fan in)`; biases, shifts and moving means have limit 0.05; scales and variances are constant.
 */
import * as ops from '../frontend/keras/backend/ops.js';
import { activations, Input, type KerasShape, type KerasTensor, Layer, layers, Model, type SymbolicTensor } from '../frontend/keras/index.js';
import { elements, type ModelName, uniform } from './workloads.js';

/** Multi-head self-attention with biases; queries, keys, values and the output each have a weight matrix [d, d]. */
class SelfAttention extends Layer {
  constructor(private readonly heads: number) {
    super();
  }

  override build(inputShape: KerasShape): void {
    const d = inputShape.at(-1)!;
    for (const name of ['query', 'key', 'value', 'output']) {
      this.addWeight(`${name}_kernel`, [d, d]);
      this.addWeight(`${name}_bias`, [d]);
    }
  }

  override call(x: SymbolicTensor): SymbolicTensor {
    const [batch, steps, d] = x.shape;
    const size = Number(d) / this.heads;
    const project = (t: SymbolicTensor, i: number) => ops.add(ops.matmul(t, this.weights[2 * i]!), this.weights[2 * i + 1]!);
    const heads = (i: number) => ops.transpose(ops.reshape(project(x, i), [batch!, steps!, this.heads, size]), [0, 2, 1, 3]);
    const [q, k, v] = [heads(0), heads(1), heads(2)];
    const scores = ops.multiply(ops.dot(q, k, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [3] }), 1 / Math.sqrt(size));
    const p = activations.softmax(scores);
    const mixed = ops.dot(p, v, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [2] });
    return project(ops.reshape(ops.transpose(mixed, [0, 2, 1, 3]), [batch!, steps!, Number(d)]), 3);
  }
}

/** How one weight is filled. */
type Fill = { readonly gain: number } | { readonly constant: number } | 'bias';

/** Builds a model layer by layer and remembers how each layer's weights are filled; seeds count on in this order. */
class Net {
  private readonly fills: { layer: Layer; fills: readonly Fill[] }[] = [];

  constructor(private at: KerasTensor) {}

  get here(): KerasTensor {
    return this.at;
  }

  /** Goes on from an earlier tensor. */
  from(x: KerasTensor): this {
    this.at = x;
    return this;
  }

  layer(layer: Layer, fills: readonly Fill[] = []): this {
    this.at = layer(this.at);
    this.fills.push({ layer, fills });
    return this;
  }

  dense(units: number, activation: string, gain = 1): this {
    return this.layer(layers.Dense(units, { activation }), [{ gain }, 'bias']);
  }

  /** Convolution; those without bias are followed by batch norm. */
  conv(filters: number, kernelSize: number, options: { strides?: number; padding?: 'same' | 'valid'; activation?: string; useBias?: boolean }): this {
    return this.layer(layers.Conv2D(filters, kernelSize, options), options.useBias === false ? [{ gain: 1 }] : [{ gain: 1 }, 'bias']);
  }

  norm(gamma = 1): this {
    return this.layer(layers.BatchNormalization({ epsilon: 1e-3 }), [{ constant: gamma }, 'bias', 'bias', { constant: 1 }]);
  }

  activation(name: string): this {
    return this.layer(layers.Activation(name));
  }

  add(other: KerasTensor): this {
    this.at = layers.Add()([this.at, other]);
    return this;
  }

  layerNorm(): this {
    return this.layer(layers.LayerNormalization({ epsilon: 1e-3 }), [{ constant: 1 }, 'bias']);
  }

  /** The model with its weights filled. */
  done(name: string, input: KerasTensor): Model {
    const model = Model({ inputs: input, outputs: this.at, name });
    let seed = 1;
    for (const { layer, fills } of this.fills) {
      layer.weights.forEach((w, i) => {
        const fill = fills[i]!;
        const n = elements(w.shape);
        if (typeof fill === 'object' && 'constant' in fill) w.assign(new Float32Array(n).fill(fill.constant));
        else w.assign(uniform(n, seed++, fill === 'bias' ? 0.05 : fill.gain * Math.sqrt(6 / fanIn(layer, w.shape))));
      });
    }
    return model;
  }
}

/** The values that one output is a sum of. A depthwise kernel [h, w, channels, 1] sums over its window alone. */
const fanIn = (layer: Layer, shape: readonly number[]): number => elements(layer instanceof layers.DepthwiseConv2D ? shape.slice(0, 2) : shape.slice(0, -1));

const same = { padding: 'same', useBias: false } as const;

const build: Record<ModelName, () => Model> = {
  mlp: () => {
    const x = Input([784]);
    return new Net(x).dense(512, 'relu').dense(512, 'relu').dense(10, 'softmax', 0.5).done('mlp', x);
  },

  cnn: () => {
    const x = Input([28, 28, 1]);
    const net = new Net(x).conv(32, 3, { activation: 'relu' }).conv(64, 3, { activation: 'relu' }).layer(layers.MaxPool2D(2));
    return net.layer(layers.Flatten()).dense(128, 'relu').dense(10, 'softmax', 0.5).done('cnn', x);
  },

  /** MobileNet v1 of width 0.25 at 128 pixels: 13 depthwise-separable blocks. */
  mobilenet: () => {
    const x = Input([128, 128, 3]);
    const net = new Net(x)
      .conv(8, 3, { ...same, strides: 2 })
      .norm()
      .activation('relu6');
    const filters = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256];
    const halved = new Set([1, 3, 5, 11]);
    filters.forEach((f, i) => {
      net
        .layer(layers.DepthwiseConv2D(3, { ...same, strides: halved.has(i) ? 2 : 1 }), [{ gain: 1 }])
        .norm()
        .activation('relu6');
      net.conv(f, 1, same).norm().activation('relu6');
    });
    return net.layer(layers.GlobalAveragePooling2D()).dense(1000, 'softmax').done('mobilenet', x);
  },

  /** ResNet-50: bottleneck blocks, the stride on the first 1x1 convolution, a projection at the start of each stage. */
  resnet50: () => {
    const x = Input([224, 224, 3]);
    const net = new Net(x)
      .conv(64, 7, { ...same, strides: 2 })
      .norm()
      .activation('relu')
      .layer(layers.MaxPool2D(3, { strides: 2, padding: 'same' }));
    const stages: [number, number][] = [
      [64, 3],
      [128, 4],
      [256, 6],
      [512, 3],
    ];
    stages.forEach(([f, blocks], stage) => {
      for (let i = 0; i < blocks; i++) {
        const start = net.here;
        const strides = i === 0 && stage > 0 ? 2 : 1;
        const skip = i === 0 ? net.conv(4 * f, 1, { ...same, strides }).norm().here : start;
        net
          .from(start)
          .conv(f, 1, { ...same, strides })
          .norm()
          .activation('relu');
        net
          .conv(f, 3, same)
          .norm()
          .activation('relu')
          .conv(4 * f, 1, same)
          .norm(0.25)
          .add(skip)
          .activation('relu');
      }
    });
    return net.layer(layers.GlobalAveragePooling2D()).dense(1000, 'softmax', 0.5).done('resnet50', x);
  },

  lstm: () => {
    const x = Input([64, 32]);
    const net = new Net(x).layer(layers.LSTM(128, { unitForgetBias: false }), [{ gain: 0.5 }, { gain: 0.5 }, 'bias']);
    return net.dense(10, 'softmax').done('lstm', x);
  },

  /** One encoder block, normalized after each sum. */
  encoder: () => {
    const x = Input([128, 256]);
    const attention: Fill[] = [0, 1, 2, 3].flatMap((): Fill[] => [{ gain: 0.7 }, 'bias']);
    const net = new Net(x).layer(new SelfAttention(4), attention).add(x).layerNorm();
    const middle = net.here;
    return net.dense(1024, 'gelu').dense(256, 'linear', 0.5).add(middle).layerNorm().done('encoder', x);
  },

  /** Three stages of one basic block, 32x32 pixels. */
  resnet8: () => {
    const x = Input([32, 32, 3]);
    const net = new Net(x).conv(16, 3, same).norm().activation('relu');
    [16, 32, 64].forEach((f, stage) => {
      const start = net.here;
      const strides = stage > 0 ? 2 : 1;
      const skip = stage > 0 ? net.conv(f, 1, { ...same, strides }).norm().here : start;
      net
        .from(start)
        .conv(f, 3, { ...same, strides })
        .norm()
        .activation('relu')
        .conv(f, 3, same)
        .norm()
        .add(skip)
        .activation('relu');
    });
    return net.layer(layers.GlobalAveragePooling2D()).dense(10, 'softmax').done('resnet8', x);
  },
};

/** A fresh model with the benchmark's weights. */
export const benchmarkModel = (name: ModelName): Model => build[name]();
