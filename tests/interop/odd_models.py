"""Models of odd kinds, which people have in files: names, a model of the real Keras, inputs, targets and how it is compiled (None: not trained).

Each is built by a function of (keras, version, f, ints): `f(*shape)` gives floats, `ints(limit, *shape)` whole numbers. They are small: what matters is how they are put together.
"""
import numpy as np

BUILDERS = {}


def odd(versions=(2, 3)):
    def keep(function):
        BUILDERS[function.__name__] = (function, versions)
        return function

    return keep


def mse(keras, **more):
    return {"optimizer": keras.optimizers.Adam(0.01), "loss": "mse", **more}


# ---- how models are put together


@odd()
def nested_thrice(keras, version, f, ints):
    L = keras.layers
    core = keras.Sequential([keras.Input((3,)), L.Dense(3, activation="tanh", name="c1"), L.BatchNormalization(name="c2")], name="core")
    i = keras.Input((3,))
    mid = keras.Model(i, L.Add()([core(core(i)), i]), name="mid")
    x = keras.Input((3,), name="x")
    y = L.Dense(2)(mid(mid(mid(x))))
    return keras.Model(x, y, name="outer"), [f(4, 3)], [f(4, 2)], mse(keras)


@odd()
def shared_layers(keras, version, f, ints):
    L = keras.layers
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    d, n = L.Dense(4, name="d"), L.BatchNormalization(name="n")
    u, v, w = n(d(a)), n(d(b)), d(d(a))
    return keras.Model([a, b], L.Dense(1)(L.Concatenate()([u, v, w]))), [f(4, 4), f(4, 4)], [f(4, 1)], mse(keras)


@odd()
def several_outputs(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4,))
    h = L.Dense(6, activation="relu")(x)
    outs = [L.Dense(2, name="left")(h), L.Dense(3, activation="softmax", name="right")(h)]
    return (
        keras.Model(x, outs),
        [f(4, 4)],
        [f(4, 2), ints(3, 4)],
        {
            "optimizer": keras.optimizers.SGD(0.05),
            "loss": {"left": keras.losses.Huber(), "right": "sparse_categorical_crossentropy"},
            "loss_weights": {"left": 0.3, "right": 2.0},
            "metrics": {"left": ["mae"], "right": ["accuracy"]},
        },
    )


@odd()
def list_of_losses(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4,))
    outs = [L.Dense(1, activation="sigmoid")(x), L.Dense(2)(x)]
    return keras.Model(x, outs), [f(4, 4)], [ints(2, 4, 1).astype(np.float32), f(4, 2)], {"optimizer": "rmsprop", "loss": [keras.losses.BinaryCrossentropy(label_smoothing=0.1), "mae"], "loss_weights": [1.0, 0.5]}


@odd()
def same_output_twice(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((3,))
    h = L.Dense(2)(x)
    return keras.Model(x, [h, h]), [f(2, 3)], None, None


@odd()
def input_is_output(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((3,))
    return keras.Model(x, [x, L.Dense(2)(x)]), [f(2, 3)], None, None


@odd()
def inputs_by_name(keras, version, f, ints):
    L = keras.layers
    x = {"zebra": keras.Input((3,), name="zebra"), "ant": keras.Input((2,), name="ant")}
    y = L.Dense(2)(L.Concatenate()([x["zebra"], x["ant"]]))
    return keras.Model(x, y), {"zebra": f(3, 3), "ant": f(3, 2)}, None, None


@odd()
def outputs_by_name(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((3,))
    return keras.Model(x, {"two": L.Dense(2, name="second")(x), "one": L.Dense(1, name="first")(x)}), [f(3, 3)], None, None


@odd()
def part_of_a_model(keras, version, f, ints):
    L = keras.layers
    base = keras.Sequential([keras.Input((4,)), L.Dense(5, activation="relu", name="one"), L.Dense(3, name="two"), L.Dense(2, name="three")])
    x = base.input if version == 2 else base.inputs[0]
    return keras.Model(x, [base.layers[0].output, base.layers[1].output]), [f(2, 4)], None, None


@odd()
def transfer(keras, version, f, ints):
    L = keras.layers
    base = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(6.0), L.GlobalAveragePooling2D()], name="base")
    base.trainable = False
    x = keras.Input((8, 8, 3))
    y = L.Dense(2)(base(x, training=False))
    return keras.Model(x, y), [f(2, 8, 8, 3)], [f(2, 2)], mse(keras)


@odd()
def frozen_layers(keras, version, f, ints):
    L = keras.layers
    m = keras.Sequential([keras.Input((4,)), L.Dense(4, trainable=False), L.BatchNormalization(trainable=False), L.Dense(4), L.BatchNormalization(), L.Dense(2)])
    m.layers[4].trainable = False
    # no Adam: the gradient of a bias in front of a normalization is rounding noise, which it would scale up
    return m, [f(4, 4)], [f(4, 2)], {"optimizer": keras.optimizers.SGD(0.05), "loss": "mse"}


@odd()
def sequential_of_models(keras, version, f, ints):
    L = keras.layers
    i = keras.Input((4,))
    first = keras.Model(i, L.Dense(3)(i), name="first")
    second = keras.Sequential([L.Dense(3, activation="relu"), L.Dense(2)], name="second")
    return keras.Sequential([first, second, L.Dense(1)]), [f(4, 4)], [f(4, 1)], mse(keras)


@odd()
def sequential_built_late(keras, version, f, ints):
    L = keras.layers
    m = keras.Sequential([L.Conv1D(3, 2, padding="causal"), L.Flatten(), L.Dense(2)])
    m.build((None, 5, 2))
    return m, [f(3, 5, 2)], [f(3, 2)], mse(keras)


@odd((2,))
def input_shape_of_first(keras, version, f, ints):
    L = keras.layers
    return keras.Sequential([L.Dense(3, input_shape=(4,)), L.Dense(2, input_dim=3)]), [f(3, 4)], [f(3, 2)], mse(keras)


@odd()
def strange_names(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((3,), name="eingabe_größe")
    h = L.Dense(3, name="слой один" if version == 3 else "slice_0")(x)
    h = L.Dense(3, name="dense_17")(h)
    h = L.Dense(3, name="a.b-c")(h)
    return keras.Model(x, L.Dense(2, name="out" if version == 3 else "block/out")(h), name="my_model"), [f(3, 3)], [f(3, 2)], mse(keras)


@odd()
def fixed_batch(keras, version, f, ints):
    L = keras.layers
    x = keras.Input(batch_shape=(3, 5, 2))
    return keras.Model(x, L.Dense(2)(L.Flatten()(x))), [f(3, 5, 2)], [f(3, 2)], mse(keras)


# ---- recurrent layers


@odd()
def bidirectional_modes(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 3))
    outs = [L.Bidirectional(L.GRU(2), merge_mode=m)(x) for m in ("sum", "mul", "ave", "concat")]
    both = L.Bidirectional(L.LSTM(2, return_sequences=True), merge_mode="concat", backward_layer=L.GRU(3, return_sequences=True, go_backwards=True))(x)
    return keras.Model(x, L.Concatenate()(outs + [L.Flatten()(both)])), [f(2, 4, 3)], [f(2, 30)], mse(keras)


@odd()
def time_distributed(keras, version, f, ints):
    L = keras.layers
    i = keras.Input((6, 6, 2))
    per_step = keras.Model(i, L.Flatten()(L.Conv2D(2, 3)(i)))
    x = keras.Input((3, 6, 6, 2))
    a = L.TimeDistributed(per_step)(x)
    b = L.TimeDistributed(L.Dense(2, activation="relu"), name="td")(a)
    c = L.TimeDistributed(keras.Sequential([keras.Input((2,)), L.Dense(2), L.LayerNormalization()]))(b)
    return keras.Model(x, L.SimpleRNN(2)(c)), [f(2, 3, 6, 6, 2)], [f(2, 2)], mse(keras)


@odd()
def cells(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 3))
    a = L.RNN([L.LSTMCell(3), L.GRUCell(2), L.SimpleRNNCell(2, activation="relu")], return_sequences=True)(x)
    b = L.RNN(L.LSTMCell(2, unit_forget_bias=False))(a)
    return keras.Model(x, b), [f(2, 4, 3)], [f(2, 2)], mse(keras)


@odd()
def stateful(keras, version, f, ints):
    L = keras.layers
    x = keras.Input(batch_shape=(2, 4, 3))
    return keras.Model(x, L.GRU(2, stateful=True)(L.LSTM(3, stateful=True, return_sequences=True)(x))), [f(2, 4, 3)], None, None


@odd()
def encoder_decoder(keras, version, f, ints):
    L = keras.layers
    e, d = keras.Input((None, 3), name="enc"), keras.Input((None, 2), name="dec")
    _, h, c = L.LSTM(4, return_state=True, name="encoder")(e)
    y = L.LSTM(4, return_sequences=True, name="decoder")(d, initial_state=[h, c])
    return keras.Model([e, d], L.Dense(2)(y)), [f(2, 4, 3), f(2, 4, 2)], None, None


@odd()
def gru_kinds(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 3))
    a = L.GRU(2, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(x)
    b = L.GRU(2, go_backwards=True, return_sequences=True, use_bias=False)(a)
    return keras.Model(x, L.LSTM(2, unroll=True, activation="softsign")(b)), [f(2, 4, 3)], [f(2, 2)], mse(keras)


@odd()
def masked(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((5,), dtype="int32")
    h = L.Embedding(9, 3, mask_zero=True)(x)
    h = L.Bidirectional(L.LSTM(3, return_sequences=True))(h)
    y = L.Dense(2)(L.GRU(3)(L.Dropout(0.3)(h)))
    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0], [7, 8, 6, 2, 1]], np.int32)
    return keras.Model(x, y), [tokens], None, None


@odd()
def masked_values(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 2))
    y = L.TimeDistributed(L.Dense(2))(L.Masking(-1.0)(x))
    data = f(3, 4, 2)
    data[0, 2:] = data[1, 3:] = -1.0
    return keras.Model(x, L.LSTM(2)(y)), [data], [f(3, 2)], mse(keras)


@odd()
def conv_lstm(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((3, 5, 5, 2))
    return keras.Model(x, L.Flatten()(L.ConvLSTM2D(2, 3, padding="same")(x))), [f(2, 3, 5, 5, 2)], None, None


# ---- layers of all kinds


@odd()
def convolutions(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((9, 8, 4))
    h = L.Conv2D(4, (3, 2), strides=(2, 1), groups=2, activation="elu")(x)
    h = L.Conv2D(4, 3, dilation_rate=2, padding="same", use_bias=False)(h)
    h = L.SeparableConv2D(3, 2, depth_multiplier=2)(h)
    h = L.DepthwiseConv2D(2, depth_multiplier=2, padding="same")(h)
    h = L.Conv2DTranspose(3, 3, strides=2, padding="same")(h)
    h = L.ZeroPadding2D(((1, 0), (2, 1)))(h)
    h = L.Cropping2D(((0, 1), (1, 0)))(h)
    h = L.UpSampling2D((1, 2), interpolation="bilinear")(h)
    return keras.Model(x, L.GlobalAveragePooling2D(keepdims=True)(h)), [f(2, 9, 8, 4)], None, None


@odd()
def volumes(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((5, 5, 5, 2))
    h = L.MaxPooling3D(2, strides=1)(L.Conv3D(3, 2)(x))
    h = L.Conv3DTranspose(2, 2)(h)
    return keras.Model(x, L.Permute((4, 1, 2, 3))(h)), [f(1, 5, 5, 5, 2)], None, None


@odd()
def normalizations(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 6))
    h = L.LayerNormalization(axis=[1, 2], epsilon=1e-4)(x)
    h = L.BatchNormalization(axis=1, scale=False)(h)
    h = L.BatchNormalization(center=False, momentum=0.5)(h)
    h = L.GroupNormalization(3)(h)
    h = L.UnitNormalization()(h)
    h = L.LayerNormalization(center=False)(h)
    return keras.Model(x, L.Flatten()(h)), [f(3, 4, 6)], [f(3, 24)], mse(keras)


@odd()
def activations(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 5))
    h = L.PReLU(shared_axes=[1])(x)
    h = L.LeakyReLU(0.2)(L.Dense(5, activation="swish")(h))
    h = L.ReLU(max_value=3.0, negative_slope=0.1, threshold=0.05)(h)
    h = L.Softmax(axis=1)(L.ELU(0.7)(h))
    h = L.Activation("gelu")(L.Dense(5, activation="selu")(h))
    return keras.Model(x, L.Activation(keras.activations.softplus)(h)), [f(2, 4, 5)], [f(2, 4, 5)], mse(keras)


@odd()
def attention(keras, version, f, ints):
    L = keras.layers
    q, v = keras.Input((4, 6)), keras.Input((5, 6))
    h = L.MultiHeadAttention(2, 3, value_dim=2, output_shape=6)(q, v)
    h = L.LayerNormalization()(L.Add()([q, h]))
    h = L.MultiHeadAttention(2, 3, use_bias=False)(h, v, key=v)
    a = L.Attention(use_scale=True)([h, v])
    b = L.AdditiveAttention()([h, v])
    return keras.Model([q, v], L.Concatenate(axis=1)([a, b])), [f(2, 4, 6), f(2, 5, 6)], [f(2, 8, 6)], mse(keras)


@odd()
def causal_attention(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4, 6))
    y = L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    return keras.Model(x, L.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d")(y)), [f(2, 4, 6)], None, None


@odd()
def merges(keras, version, f, ints):
    L = keras.layers
    a, b = keras.Input((3, 4)), keras.Input((3, 4))
    outs = [L.Dot(axes=(2, 2), normalize=True)([a, b]), L.Dot(axes=2)([a, b]), L.Concatenate(axis=1)([L.Minimum()([a, b]), L.Subtract()([a, b]), L.Maximum()([a, b])])]
    outs.append(L.RepeatVector(2)(L.Reshape((12,))(L.Average()([a, L.Multiply()([a, b])]))))
    return keras.Model([a, b], outs), [f(2, 3, 4), f(2, 3, 4)], None, None


@odd((2,))
def local_and_old(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((6, 6, 2))
    h = L.LocallyConnected2D(2, 3)(x)
    h = L.ThresholdedReLU(0.1)(L.Reshape((16, 2))(h))
    return keras.Model(x, L.LocallyConnected1D(2, 3)(h)), [f(2, 6, 6, 2)], None, None


@odd()
def regularized(keras, version, f, ints):
    L, R, C, I = keras.layers, keras.regularizers, keras.constraints, keras.initializers
    m = keras.Sequential([
        keras.Input((4,)),
        L.Dense(4, kernel_regularizer=R.L1L2(0.01, 0.02), bias_regularizer="l1", activity_regularizer=R.L2(0.01), kernel_constraint=C.MaxNorm(2.0)),
        L.Dense(4, kernel_constraint=C.NonNeg(), kernel_regularizer=R.OrthogonalRegularizer(0.01), bias_constraint=C.MinMaxNorm(0.1, 1.0, 0.9)),
        L.ActivityRegularization(0.01, 0.02),
        L.Dense(2, kernel_initializer=I.VarianceScaling(2.0, "fan_out", "uniform", seed=3), bias_initializer=I.Constant(0.5), kernel_constraint=C.UnitNorm(axis=0)),
        L.Dense(2, kernel_initializer=I.Orthogonal(1.5), bias_initializer=I.TruncatedNormal(stddev=0.1)),
    ])
    return m, [f(4, 4)], [f(4, 2)], mse(keras)


@odd()
def preprocessing(keras, version, f, ints):
    L = keras.layers
    n = L.Normalization()
    n.adapt(f(20, 3))
    x, c = keras.Input((3,)), keras.Input((1,), dtype="int32")
    h = L.Concatenate()([L.Rescaling(0.5, 1.0)(n(x)), L.CategoryEncoding(5, output_mode="one_hot")(c)])
    return keras.Model([x, c], L.Dense(2)(h)), [f(4, 3), ints(5, 4, 1)], [f(4, 2)], mse(keras)


@odd()
def lookup(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((3,), dtype="int64")
    h = L.IntegerLookup(vocabulary=[12, 36, 1138, 42])(x)
    return keras.Model(x, L.Flatten()(L.Embedding(6, 2)(h))), [np.array([[12, 36, 5], [42, 42, 1138]], np.int32)], None, None


@odd((3,))
def lookup_adapted(keras, version, f, ints):
    L = keras.layers
    n = L.IntegerLookup(num_oov_indices=2, mask_token=0)
    n.adapt(np.array([[12, 36, 12, -5], [42, 36, 12, 0]]))
    w = L.IntegerLookup(output_mode="tf_idf")
    w.adapt(np.array([[12, 36, 12, -5], [42, 36, 12, 0]]))
    x = keras.Input((3,), dtype="int64")
    h = L.Concatenate()([L.Flatten()(L.Embedding(9, 2)(n(x))), w(x)])
    return keras.Model(x, L.Dense(2)(h)), [np.array([[12, 36, 5], [42, 0, -5]], np.int32)], None, None


@odd()
def float64_layers(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4,), dtype="float64")
    return keras.Model(x, L.Dense(2, dtype="float32")(L.Dense(3, dtype="float64", activation="tanh")(x))), [f(3, 4)], None, None


@odd()
def mixed_precision(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((4,))
    h = L.Dense(8, activation="relu", dtype="mixed_float16")(x)
    h = L.BatchNormalization(dtype="mixed_float16")(h)
    return keras.Model(x, L.Dense(2, dtype="float32")(h)), [f(3, 4)], None, None


# ---- how models are trained


def tiny(keras):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(2)])


def trained(name, compile_, versions=(2, 3)):
    def build(keras, version, f, ints):
        return tiny(keras), [f(8, 4)], [f(8, 2)], compile_(keras)

    build.__name__ = name
    odd(versions)(build)


trained("cosine", lambda k: {"optimizer": k.optimizers.Adam(k.optimizers.schedules.CosineDecay(0.05, 10, alpha=0.1)), "loss": "mse"})
trained("piecewise", lambda k: {"optimizer": k.optimizers.SGD(k.optimizers.schedules.PiecewiseConstantDecay([2, 4], [0.1, 0.05, 0.01]), momentum=0.5), "loss": "mse"})
trained("polynomial", lambda k: {"optimizer": k.optimizers.RMSprop(k.optimizers.schedules.PolynomialDecay(0.05, 5, 0.001, power=2.0)), "loss": "mse"})
trained("inverse_time", lambda k: {"optimizer": k.optimizers.Adagrad(k.optimizers.schedules.InverseTimeDecay(0.1, 2, 0.5, staircase=True)), "loss": "mse"})
trained("ema", lambda k: {"optimizer": k.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8), "loss": "mse"})
trained("global_clip", lambda k: {"optimizer": k.optimizers.Adamax(0.05, global_clipnorm=0.3), "loss": "mse"})
trained("value_clip", lambda k: {"optimizer": k.optimizers.SGD(0.05, clipvalue=0.05), "loss": "mae"})
trained("weight_decay", lambda k: {"optimizer": k.optimizers.AdamW(0.05, weight_decay=0.1), "loss": "logcosh" if k.__version__.startswith("2") else "log_cosh"})
trained("legacy_rmsprop", lambda k: {"optimizer": k.optimizers.legacy.RMSprop(0.02, momentum=0.5, centered=True), "loss": "mse"}, (2,))
trained("legacy_sgd_decay", lambda k: {"optimizer": k.optimizers.legacy.SGD(0.1, decay=0.1, momentum=0.9), "loss": "mse"}, (2,))
trained("loss_and_metrics", lambda k: {"optimizer": k.optimizers.Adam(0.02), "loss": k.losses.CosineSimilarity(axis=-1), "metrics": [k.metrics.MeanSquaredError(name="squares"), "mae"], "weighted_metrics": ["mse"]})
trained("restarts", lambda k: {"optimizer": k.optimizers.SGD(k.optimizers.schedules.CosineDecayRestarts(0.1, 2, t_mul=1.5, m_mul=0.9, alpha=0.05)), "loss": "mse"})
trained("adadelta", lambda k: {"optimizer": k.optimizers.Adadelta(0.5, rho=0.9), "loss": "mse"})
trained("nadam", lambda k: {"optimizer": k.optimizers.Nadam(0.02), "loss": "mse"})
trained("ftrl", lambda k: {"optimizer": k.optimizers.Ftrl(0.05, l1_regularization_strength=0.01, l2_shrinkage_regularization_strength=0.01), "loss": "mse"})
trained("lion", lambda k: {"optimizer": k.optimizers.Lion(0.01, weight_decay=0.05), "loss": "mse"})
trained("adafactor", lambda k: {"optimizer": k.optimizers.Adafactor(0.02, relative_step=False), "loss": "mse"})
trained("lamb", lambda k: {"optimizer": k.optimizers.Lamb(0.02, weight_decay=0.01), "loss": "mse"}, (3,))
trained("muon", lambda k: {"optimizer": k.optimizers.Muon(0.02, exclude_layers=["dense_1"]), "loss": "mse"}, (3,))
trained("schedule_free", lambda k: {"optimizer": k.optimizers.ScheduleFreeAdamW(0.02, warmup_steps=3), "loss": "mse"}, (3,))
trained("accumulating", lambda k: {"optimizer": k.optimizers.Adam(0.02, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.8), "loss": "mse"}, (3,))
trained("loss_scaled", lambda k: {"optimizer": k.optimizers.LossScaleOptimizer(k.optimizers.Adam(0.02)), "loss": "mse"}, (3,))
trained("legacy_adadelta", lambda k: {"optimizer": k.optimizers.legacy.Adadelta(0.5), "loss": "mse"}, (2,))
trained("legacy_nadam", lambda k: {"optimizer": k.optimizers.legacy.Nadam(0.02), "loss": "mse"}, (2,))
trained("legacy_ftrl", lambda k: {"optimizer": k.optimizers.legacy.Ftrl(0.05, l2_regularization_strength=0.01), "loss": "mse"}, (2,))
trained("legacy_adamax", lambda k: {"optimizer": k.optimizers.legacy.Adamax(0.02), "loss": "mse"}, (2,))


# ---- metrics: their configurations are read, and evaluation gives the same numbers (entry "logs")


@odd()
def metrics_binary(keras, version, f, ints):
    M = keras.metrics
    m = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    counts = [c(name=n) for c, n in [(M.TruePositives, "tp"), (M.FalsePositives, "fp"), (M.TrueNegatives, "tn"), (M.FalseNegatives, "fn")]]
    curves = [M.AUC(name=f"auc_{c}_{s}", curve=c, summation_method=s, num_thresholds=30) for c in ("ROC", "PR") for s in ("interpolation", "minoring", "majoring")]
    levels = [
        M.PrecisionAtRecall(0.4, name="par"),
        M.RecallAtPrecision(0.5, name="rap"),
        M.SensitivityAtSpecificity(0.5, name="sas", num_thresholds=50),
        M.SpecificityAtSensitivity(0.6, name="spas"),
    ]
    given = [M.Precision(name="precision"), M.Precision(thresholds=0.3, name="low"), M.Recall(name="recall"), M.BinaryIoU(name="iou", threshold=0.45), *counts, *curves, *levels]
    given += [M.AUC(name="chosen", thresholds=[0.3, 0.35, 0.7]), M.Hinge(name="h"), M.SquaredHinge(name="sh"), M.BinaryAccuracy(name="ba", threshold=0.4)]
    return m, [f(12, 4)], [ints(2, 12, 1).astype(np.float32)], {"optimizer": "adam", "loss": "binary_crossentropy", "metrics": given}


@odd()
def metrics_classes(keras, version, f, ints):
    M = keras.metrics
    m = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="softmax")])
    given = [M.TopKCategoricalAccuracy(k=2, name="top"), M.Precision(class_id=1, name="p1"), M.Recall(top_k=2, name="r2"), M.AUC(multi_label=True, num_labels=5, name="auc")]
    given += [M.AUC(label_weights=[0.1, 0.2, 0.3, 0.2, 0.2], multi_label=True, name="weighed"), M.F1Score(average="macro", name="f1"), M.FBetaScore(average="micro", beta=0.5, threshold=0.2, name="fb")]
    given += [M.F1Score(average="weighted", name="fw"), M.OneHotMeanIoU(num_classes=5, name="miou"), M.OneHotIoU(num_classes=5, target_class_ids=[0, 2], name="oiou"), M.CategoricalHinge(name="ch")]
    given += [M.KLDivergence(name="kl"), M.CategoricalCrossentropy(label_smoothing=0.1, name="cc"), M.CosineSimilarity(name="cos"), "top_k_categorical_accuracy", "categorical_hinge"]
    given += ["kl_divergence"] if version == 3 else []  # tf_keras takes its own module for the function
    return m, [f(12, 4)], [np.eye(5, dtype=np.float32)[ints(5, 12)]], {"optimizer": "adam", "loss": "categorical_crossentropy", "metrics": given}


@odd()
def metrics_sparse(keras, version, f, ints):
    M = keras.metrics
    m = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="softmax")])
    given = [M.SparseTopKCategoricalAccuracy(k=3, name="top"), M.MeanIoU(num_classes=6, sparse_y_pred=False, name="miou"), M.IoU(num_classes=6, target_class_ids=[1, 4], sparse_y_pred=False, name="iou")]
    given += [M.MeanIoU(num_classes=6, sparse_y_pred=False, ignore_class=2, name="ignoring"), M.SparseCategoricalCrossentropy(name="sc")]
    return m, [f(12, 4)], [ints(6, 12)], {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": given}


@odd()
def metrics_regression(keras, version, f, ints):
    M = keras.metrics
    given = [M.RootMeanSquaredError(name="rmse"), M.R2Score(name="r2"), M.R2Score(class_aggregation="variance_weighted_average", num_regressors=2, name="adjusted"), M.LogCoshError(name="lc")]
    given += [M.MeanAbsolutePercentageError(name="mape_"), M.MeanSquaredLogarithmicError(name="msle_"), M.CosineSimilarity(axis=-1, name="cos"), "mape", "msle", "cosine_similarity"]
    if version == 2:
        given += [M.MeanRelativeError(normalizer=[1.0, 2.0], name="relative"), "logcosh"]
    else:
        given += [M.PearsonCorrelation(axis=0, name="pearson"), M.ConcordanceCorrelation(axis=0, name="concordance")]
    return tiny(keras), [f(12, 4)], [f(12, 2)], {"optimizer": "adam", "loss": "mse", "metrics": given}


@odd()
def accuracy_names(keras, version, f, ints):
    L = keras.layers
    m = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="softmax")])
    given = {"optimizer": "adam", "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1), "metrics": ["accuracy", keras.metrics.CategoricalCrossentropy(label_smoothing=0.1)]}
    return m, [f(6, 4)], [np.eye(3, dtype=np.float32)[ints(3, 6)]], given


@odd()
def binary(keras, version, f, ints):
    L = keras.layers
    m = keras.Sequential([keras.Input((4,)), L.Dense(1)])
    given = {"optimizer": "adam", "loss": keras.losses.BinaryCrossentropy(from_logits=True), "metrics": [keras.metrics.BinaryAccuracy(threshold=0.0, name="above")]}
    return m, [f(6, 4)], [ints(2, 6, 1).astype(np.float32)], given


# ---- operations


@odd(versions=(2,))
def operations_of_tensorflow(keras, version, f, ints):
    import tensorflow as tf

    L = keras.layers
    x, z, i = keras.Input((6,), name="x"), keras.Input((4, 4, 8), name="z"), keras.Input((3,), dtype="int32", name="i")
    n = tf.shape(x)[0]
    outs = [
        x + 1, 1 - x, x * x, x / 2.0, 2.0 ** x, x ** 2, -abs(x), x // 0.5, x % 0.4, x @ tf.ones((6, 2)), x + tf.constant([1.0, 2, 3, 4, 5, 6]), x + np.arange(6.0).astype("float32"),
        x[:, 0], x[:, 1:3, ..., tf.newaxis], x[:, ::2], x[:, ::-1], x[:, -2:], x[..., -1], z[:, 1, 2:, :3], x[:, : tf.shape(x)[1] - 1],
        tf.reshape(x, [-1, 2, 3]), tf.reshape(x, [n, 3, 2]), tf.reshape(z, [n, tf.shape(z)[1] * 4, 8]), tf.reshape(z, tf.concat([tf.shape(z)[:1], [-1]], 0)), tf.reshape(x, tf.stack([n, 6, 1])),
        tf.transpose(z, [0, 3, 1, 2]), tf.expand_dims(x, 1), tf.squeeze(tf.expand_dims(x, -1), axis=[-1]), tf.concat([x, x * 2], -1), tf.stack([x, x], axis=1), *tf.split(x, 2, axis=1), *tf.split(x, [1, -1, 2], axis=1), *tf.unstack(x, axis=1)[:2],
        tf.reduce_mean(x, axis=1, keepdims=True), tf.reduce_sum(z, axis=[1, 2]), tf.reduce_max(z, axis=-1), tf.math.reduce_std(x, axis=1), tf.reduce_logsumexp(x, axis=-1), tf.cast(tf.reduce_any(x > 1, axis=1), tf.float32), tf.reduce_prod(x, axis=1),
        tf.cast(tf.argmax(x, axis=-1), tf.float32), tf.cast(x > 0, tf.float32), tf.where(x > 0, x, -x), tf.where(x > 0, 0.0, x), tf.cast(~(x > 0) & (x > -1), "float32"), tf.cast(tf.equal(i, 1), "float32"), tf.one_hot(i, 5), tf.gather(x, [0, 2], axis=1), tf.gather(x, i, axis=1)[:, 0],
        tf.nn.relu(x), tf.nn.relu6(x * 4), tf.nn.leaky_relu(x, alpha=0.1), tf.nn.gelu(x), tf.nn.silu(x), tf.nn.softmax(x), tf.nn.log_softmax(x), tf.sigmoid(x), tf.tanh(x), tf.nn.elu(x), tf.nn.softplus(x), keras.activations.hard_sigmoid(x), tf.math.erf(x), tf.exp(x), tf.math.log(abs(x) + 1), tf.sqrt(abs(x)), tf.math.rsqrt(abs(x) + 1), tf.sin(x), tf.round(x), tf.math.atan2(x, x + 3.0),
        tf.maximum(0.0, x), tf.minimum(x, 0.5), tf.clip_by_value(x, -0.5, 0.5), tf.math.squared_difference(x, 1.0), tf.math.divide_no_nan(x, x), tf.add_n([x, x]), tf.cumsum(x, axis=1), tf.tile(x, [1, 2]), tf.pad(x, [[0, 0], [1, 2]]), tf.reverse(x, [1]), tf.math.l2_normalize(x, axis=1), tf.norm(x, axis=1), tf.roll(x, 2, 1),
        tf.matmul(z, z, transpose_b=True), tf.nn.max_pool2d(z, 2, 2, "SAME"), tf.nn.avg_pool2d(z, 2, 2, "VALID"), tf.nn.conv2d(z, tf.ones((2, 2, 8, 3)), 1, "SAME"), tf.nn.depth_to_space(z, 2), tf.nn.space_to_depth(z, 2), tf.image.resize(z, (8, 8)), tf.image.resize(z, (7, 5), method="nearest"), tf.math.top_k(x, 2).values, tf.sort(x), keras.backend.batch_flatten(z), tf.stop_gradient(x), tf.zeros_like(x), tf.ones_like(x) * tf.cast(n, "float32") / tf.cast(n, "float32"),
    ]
    return keras.Model([x, z, i], outs), [f(3, 6), f(3, 4, 4, 8), ints(3, 3, 3)], None, None


@odd(versions=(3,))
def operations_of_keras(keras, version, f, ints):
    o = keras.ops
    x, z, i = keras.Input((6,), name="x"), keras.Input((4, 4, 8), name="z"), keras.Input((3,), dtype="int32", name="i")
    outs = [
        x + 1, 1 - x, x * x, x / 2, 2**x, x**2, -abs(x), x // 0.5, x % 0.4, x + np.arange(6.0), x + o.array([1.0, 2, 3, 4, 5, 6]), i / 2, i * 1.5,
        x[:, 0], x[:, 1:3, ..., None], x[:, ::2], x[:, ::-1], x[:, -2:], x[..., -1], z[:, 1, 2:, :3],
        o.reshape(x, [-1, 2, 3]), o.transpose(z, [0, 3, 1, 2]), o.expand_dims(x, 1), o.squeeze(o.expand_dims(x, -1), axis=-1), o.concatenate([x, x * 2], -1), o.stack([x, x], axis=1), *o.split(x, 2, axis=1), *o.split(x, [1, 4], axis=1), *o.unstack(x, axis=1)[:2], o.swapaxes(z, 1, 3), o.moveaxis(z, 1, -1),
        o.mean(x, axis=1, keepdims=True), o.sum(z, axis=(1, 2)), o.max(z, axis=-1), o.std(x, axis=1), o.var(x, axis=1), o.logsumexp(x, axis=-1), o.cast(o.any(x > 1, axis=1), "float32"), o.prod(x, axis=1), o.cast(o.argmax(x, axis=-1), "float32"), o.cast(x > 0, "float32"), o.where(x > 0, x, -x), o.where(x > 0, 0.0, x), o.cast(~(x > 0), "float32"), o.cast(o.logical_and(x > 0, x < 1), "float32"), o.cast(o.equal(i, 1), "float32"), o.one_hot(i, 5), o.take(x, [0, 2], axis=1), o.take_along_axis(x, i, axis=1),
        o.relu(x), o.relu6(x * 4), o.leaky_relu(x, negative_slope=0.1), o.gelu(x), o.gelu(x, approximate=False), o.silu(x), o.softmax(x), o.log_softmax(x), o.sigmoid(x), o.tanh(x), o.elu(x), o.softplus(x), o.hard_sigmoid(x), o.erf(x), o.exp(x), o.log(abs(x) + 1), o.sqrt(abs(x)), o.rsqrt(abs(x) + 1), o.sin(x), o.round(x), o.arctan2(x, x + 3), o.log1p(abs(x)), o.selu(x), o.celu(x, 0.5), o.glu(x),
        o.maximum(0.0, x), o.minimum(x, 0.5), o.clip(x, -0.5, 0.5), o.cumsum(x, axis=1), o.tile(x, [1, 2]), o.repeat(x, 2, axis=1), o.pad(x, [[0, 0], [1, 2]]), o.flip(x, 1), o.normalize(x, axis=1), o.norm(x, axis=1), o.roll(x, 2, 1), o.tril(z), o.square(x), o.sign(x),
        o.matmul(z, o.transpose(z, (0, 1, 3, 2))), o.einsum("bi,bj->bij", x, x), o.max_pool(z, 2, 2, "same"), o.average_pool(z, 2, 2, "valid"), o.conv(z, np.ones((2, 2, 8, 3), "float32"), 1, "same"), o.image.resize(z, (8, 8)), o.top_k(x, 2)[0], o.sort(x), o.cast(o.argsort(x), "float32"), o.stop_gradient(x), o.zeros_like(x), o.ones_like(x), o.full_like(x, 2.0), o.tensordot(x, o.array(np.ones((6, 2), "float32")), axes=1), o.dot(x, o.array(np.ones((6, 2), "float32"))), *o.moments(x, axes=[1], keepdims=True),
    ]
    return keras.Model([x, z, i], outs), [f(3, 6), f(3, 4, 4, 8), ints(3, 3, 3)], None, None


@odd()
def operations_between_layers(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((5,), name="x")
    h = L.Dense(6, activation="relu")(x)
    inner_in = keras.Input((6,))
    inner = keras.Model(inner_in, L.Dense(6)(inner_in * 2.0) + inner_in, name="inner")
    y = inner(inner(h) - 1.0)[:, :3] + h[:, 3:]
    return keras.Model(x, L.Dense(2)(1.0 - y)), [f(4, 5)], [f(4, 2)], mse(keras)


@odd()
def layers_as_activations(keras, version, f, ints):
    L = keras.layers
    x = keras.Input((6, 5), name="x")
    leaky = L.LeakyReLU(alpha=0.1) if version == 2 else L.LeakyReLU(negative_slope=0.1)
    h = L.Dense(4, activation=leaky)(x)
    h = L.Conv1D(4, 2, activation=L.ELU(alpha=0.7))(h)
    h = L.Activation(L.ReLU(max_value=1.5))(h)
    h = L.Dense(3, activation=L.PReLU())(h)
    h = L.LSTM(4, activation=L.ReLU(max_value=1.0))(h)
    return keras.Model(x, L.Dense(2, activation=L.Softmax())(h)), [f(4, 6, 5)], [f(4, 2)], mse(keras)
