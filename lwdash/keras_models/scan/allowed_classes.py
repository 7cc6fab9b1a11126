"""The allow-list for a model's config: exact (module, class) pairs and functions. Anything else is refused.

Layers that run code or read files (Lambda, TFSMLayer, TorchModuleWrapper, JaxLayer, FlaxLayer, DenseFeatures)
are omitted intentionally, as are operations that take a function (Map, Scan, Cond, WhileLoop …).
"""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """The set of words in a text."""
    return frozenset(text.split())


LAYERS = names(
    """
    AbstractRNNCell Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D AveragePooling2D
    AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization BatchNormalizationV1
    BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D
    Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D
    Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose
    Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout
    ELU EinsumDense Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D
    GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupNormalization GroupQueryAttention HashedCrossing Hashing Identity InputLayer
    IntegerLookup LSTM LSTMCell LayerNormalization LeakyReLU LocallyConnected1D LocallyConnected2D Masking
    MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp
    MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing
    RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective
    RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation
    RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding STFTSpectrogram
    SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell
    Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
    StackedRNNCells StringLookup Subtract SyncBatchNormalization TextVectorization ThresholdedReLU
    TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
    """
)

CODE_LAYERS = {
    "Lambda": "a Lambda layer carries Python code",
    "TFSMLayer": "a TFSMLayer loads another file",
    "TorchModuleWrapper": "a TorchModuleWrapper carries a pickled PyTorch module",
    "JaxLayer": "a JaxLayer carries a function",
    "FlaxLayer": "a FlaxLayer carries a module's code",
    "DenseFeatures": "DenseFeatures needs feature columns, which may read files",
    "__lambda__": "it is a marshalled Python function",
    "__typespec__": "it names a TensorFlow type to import",
    "TypeSpec": "it names a TensorFlow type to import",
}
"""Classes with a known reason to refuse them, for the message."""

MODELS = frozenset({"Functional", "Sequential", "Model"})

TENSOR_MARKS = names(
    """
    __keras_tensor__ __tuple__ __numpy__ __tensor__ __ellipsis__ __slice__ __bytes__ TensorShape
    """
)
"""Values, not objects: the notation of tensors, slices and similar values in configs."""

INITIALIZERS = names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
    LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer
    TruncatedNormal VarianceScaling Zeros
    """
)
REGULARIZERS = names("L1 L1L2 L2 OrthogonalRegularizer")
CONSTRAINTS = names("MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm")
POLICIES = names("DTypePolicy FloatDTypePolicy DTypePolicyMap Policy PolicyV1")
QUANTIZED_POLICIES = names(
    """
    QuantizedDTypePolicy QuantizedFloat8DTypePolicy Int4DTypePolicy GPTQDTypePolicy AWQDTypePolicy
    """
)

ACTIVATIONS = names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
    """
)

LOSS_FUNCTIONS = names(
    """
    binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
    categorical_hinge cosine_similarity hinge huber kl_divergence log_cosh mean_absolute_error
    mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error poisson
    sparse_categorical_crossentropy squared_hinge binary_accuracy categorical_accuracy
    sparse_categorical_accuracy sparse_top_k_categorical_accuracy top_k_categorical_accuracy
    """
)
"""Losses and metrics that are functions: a nested compiled model has them in its config."""

OPTIMIZERS = names(
    """
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD
    """
)
LOSSES = names(
    """
    BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy
    CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber
    KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
    MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky
    """
)
METRICS = names(
    """
    AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy CategoricalCrossentropy
    CategoricalHinge ConcordanceCorrelation CosineSimilarity F1Score FBetaScore FalseNegatives
    FalsePositives Hinge IoU KLDivergence LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError
    MeanIoU MeanMetricWrapper MeanRelativeError MeanSquaredError MeanSquaredLogarithmicError MeanTensor
    OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision PrecisionAtRecall R2Score Recall
    RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy
    SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge Sum
    TopKCategoricalAccuracy TrueNegatives TruePositives
    """
)

OPERATIONS = {
    "numpy": names(
        """
    Abs Absolute Add All Amax Amin Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh
    Argmax Argmin Argsort Average BroadcastTo Cbrt Ceil Clip Concatenate Copy Cos Cosh CountNonzero Cross
    Cumprod Cumsum Diag Diagonal Diff Divide DivideNoNan Dot Einsum Equal Exp Exp2 ExpandDims Expm1 Flip
    Floor FloorDivide Full FullLike GetItem Greater GreaterEqual Hstack Isfinite Isinf Isnan Less
    LessEqual Linspace Log Log10 Log1p Log2 Logaddexp LogicalAnd LogicalNot LogicalOr LogicalXor Matmul
    Max Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply NanToNum Ndim Negative NotEqual
    OnesLike Outer Pad Power Prod Quantile Ravel Real Reciprocal Repeat Reshape Roll Round Sign Sin Sinh
    Size Sort Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh
    Tensordot Tile Trace Transpose Tril Triu TrueDivide Trunc Var Vdot Vstack Where ZerosLike
    """
    ),
    "nn": names(
        """
    AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm Celu Conv ConvTranspose DepthToSpace
    DepthwiseConv DotProductAttention Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm
    LeakyRelu LogSigmoid LogSoftmax MaxPool Moments MultiHot Normalize OneHot RMSNorm Relu Relu6 Selu
    SeparableConv Sigmoid Silu SoftShrink Softmax Softplus Softsign SpaceToDepth SparsePlus SparseSigmoid
    Sparsemax Squareplus TanhShrink Threshold
    """
    ),
    "math": names(
        """
    Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logsumexp RFFT Rsqrt STFT
    SegmentMax SegmentSum TopK
    """
    ),
    "core": names(
        """
    Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient Unstack
    """
    ),
    "linalg": names("Cholesky Det Inv Norm Qr SVD Solve SolveTriangular"),
    "image": names(
        """
    AffineTransform CropImages ExtractPatches GaussianBlur HSVToRGB PadImages RGBToGrayscale RGBToHSV
    Resize
    """
    ),
    "einops": frozenset({"Rearrange"}),
}

TF_LAMBDA_LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda"})

TF_FUNCTIONS = names(
    """
    __operators__.add __operators__.getitem __operators__.matmul __operators__.mod __operators__.pow
    __operators__.sub __operators__.eq __operators__.ne __operators__.radd __operators__.rmul
    __operators__.rsub __operators__.rtruediv __operators__.truediv __operators__.logical_and
    __operators__.logical_or __operators__.logical_not broadcast_to cast clip_by_value concat
    convert_to_tensor einsum expand_dims eye fill gather gather_nd identity matmul meshgrid norm one_hot
    ones_like ones pad range realdiv repeat reshape reverse roll shape slice sort split sqrt square
    squeeze stack stop_gradient strided_slice tensordot tile transpose truediv unstack where zeros
    zeros_like compat.v1.shape compat.v1.transpose compat.v1.squeeze compat.v1.gather compat.v1.nn.relu
    compat.v1.nn.softmax compat.v1.image.resize compat.v1.image.resize_bilinear
    compat.v1.image.resize_nearest_neighbor compat.v1.expand_dims compat.v1.pad compat.v1.reduce_mean
    compat.v1.reduce_sum compat.v1.nn.leaky_relu compat.v1.nn.conv2d image.resize image.resize_with_pad
    image.crop_to_bounding_box image.central_crop image.flip_left_right image.flip_up_down
    image.per_image_standardization image.rgb_to_grayscale image.grayscale_to_rgb image.adjust_contrast
    linalg.matmul linalg.norm linalg.normalize linalg.l2_normalize linalg.band_part
    linalg.matrix_transpose linalg.einsum linalg.diag linalg.trace math.abs math.add math.add_n
    math.argmax math.argmin math.atan2 math.ceil math.cos math.cosh math.cumsum math.divide
    math.divide_no_nan math.equal math.erf math.exp math.expm1 math.floor math.floordiv math.floormod
    math.greater math.greater_equal math.is_finite math.is_nan math.l2_normalize math.less math.less_equal
    math.log math.log1p math.log_sigmoid math.logical_and math.logical_not math.logical_or math.maximum
    math.minimum math.mod math.multiply math.multiply_no_nan math.negative math.not_equal math.pow
    math.reciprocal math.reduce_all math.reduce_any math.reduce_euclidean_norm math.reduce_logsumexp
    math.reduce_max math.reduce_mean math.reduce_min math.reduce_prod math.reduce_std math.reduce_sum
    math.reduce_variance math.round math.rsqrt math.sigmoid math.sign math.sin math.softmax math.softplus
    math.sqrt math.square math.squared_difference math.subtract math.tan math.tanh math.top_k math.truediv
    math.scalar_mul math.xlogy math.invert_permutation math.segment_sum math.log_softmax nn.avg_pool
    nn.avg_pool1d nn.avg_pool2d nn.bias_add nn.conv1d nn.conv2d nn.conv2d_transpose nn.depth_to_space
    nn.depthwise_conv2d nn.dropout nn.elu nn.gelu nn.l2_loss nn.l2_normalize nn.leaky_relu
    nn.local_response_normalization nn.log_softmax nn.max_pool nn.max_pool1d nn.max_pool2d nn.moments
    nn.relu nn.relu6 nn.selu nn.separable_conv2d nn.sigmoid nn.silu nn.softmax nn.softplus nn.softsign
    nn.space_to_depth nn.swish nn.tanh nn.batch_normalization nn.with_space_to_batch nn.crelu nn.lrn
    signal.frame signal.rfft signal.stft signal.fft
    """
)
"""TensorFlow functions that a TFOpLambda of Keras 2 may call: arithmetic, no file access."""

FUNCTION_MODULES = frozenset(
    {
        "builtins",
        "keras.activations",
        "keras.losses",
        "keras.metrics",
        "tf_keras.activations",
        "tf_keras.losses",
        "tf_keras.metrics",
    }
)

_KERAS_NAMESPACES = {
    "layers": LAYERS,
    "layers.experimental": LAYERS,
    "layers.experimental.preprocessing": LAYERS,
    "initializers": INITIALIZERS,
    "regularizers": REGULARIZERS,
    "constraints": CONSTRAINTS,
    "optimizers": OPTIMIZERS,
    "losses": LOSSES,
    "metrics": METRICS,
    "mixed_precision": POLICIES,
    "dtype_policies": POLICIES,
    "models": MODELS,
    "optimizers.schedules": names(
        """
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay
    PolynomialDecay
    """
    ),
}

_BARE = (
    LAYERS | MODELS | INITIALIZERS | REGULARIZERS | CONSTRAINTS | POLICIES | TF_LAMBDA_LAYERS | TENSOR_MARKS
) | frozenset().union(*OPERATIONS.values())

CLASSES: dict[str | None, frozenset[str]] = {
    None: _BARE,
    "tensorflow.python.ops.init_ops_v2": frozenset(
        {"Constant"}
    ),  # how Keras 2 saves EfficientNetV2's first biases
    "keras": MODELS | POLICIES,
    "tf_keras": MODELS | POLICIES,
    **{f"keras.{name}": classes for name, classes in _KERAS_NAMESPACES.items()},
    **{f"tf_keras.{name}": classes for name, classes in _KERAS_NAMESPACES.items()},
    **{f"keras.src.ops.{name}": classes for name, classes in OPERATIONS.items()},
    **dict.fromkeys(
        (
            "keras.src.models.functional",
            "keras.src.engine.functional",
            "keras.engine.functional",
            "tf_keras.src.engine.functional",
        ),
        frozenset({"Functional"}),
    ),
    **dict.fromkeys(
        (
            "keras.src.layers.core.tf_op_layer",
            "keras.layers.core.tf_op_layer",
            "tf_keras.src.layers.core.tf_op_layer",
        ),
        TF_LAMBDA_LAYERS,
    ),
    **dict.fromkeys(
        ("keras.src.engine.sequential", "keras.engine.sequential", "tf_keras.src.engine.sequential"),
        frozenset({"Sequential"}),
    ),
}
"""Allowed classes of each module. None: configs without modules (.h5)."""
