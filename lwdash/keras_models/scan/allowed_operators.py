"""Operators that a SavedModel's graph may contain: arithmetic, control flow, variables; no file or network access."""

from __future__ import annotations

from lwdash.keras_models.scan.allowed_classes import names

ARITHMETIC = names(
    """
    Abs Acos Acosh Add AddN AddV2 All Angle Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul
    BatchMatMulV2 BatchMatMulV3 Betainc BiasAdd BiasAddGrad BiasAddV1 Bincount Bitcast BitwiseAnd
    BitwiseOr BitwiseXor BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil CheckNumerics
    CheckNumericsV2 Cholesky ClipByValue Complex ComplexAbs Concat ConcatOffset ConcatV2 Conj
    ConjugateTranspose Const Cos Cosh Cross Cumprod Cumsum CumulativeLogsumexp DenseBincount Diag DiagPart
    Digamma Div DivNoNan DynamicPartition DynamicStitch Einsum Elu EluGrad EnsureShape Equal Erf Erfc
    Erfinv EuclideanNorm Exp ExpandDims Expm1 FFT FFT2D FFT3D Fill Floor FloorDiv FloorMod Gather GatherNd
    GatherV2 Greater GreaterEqual IFFT IFFT2D IRFFT IRFFT2D Identity IdentityN Imag InTopKV2 Invert
    InvertPermutation IsFinite IsInf IsNan L2Loss LeakyRelu LeakyReluGrad LeftShift Less LessEqual Lgamma
    LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr LowerBound MatMul MatrixBandPart
    MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV3 MatrixDiagV3 MatrixInverse MatrixSetDiag
    MatrixSetDiagV3 MatrixSolve MatrixTriangularSolve Max Maximum Mean Min Minimum MirrorPad MirrorPadGrad
    Mod Mul MulNoNan Ndtri Neg NextAfter NoOp NotEqual NthElement OneHot OnesLike Pack Pad PadV2
    ParallelDynamicStitch Placeholder PlaceholderWithDefault Pow PreventGradient Prod Qr RFFT RFFT2D Range
    Rank Real RealDiv Reciprocal ReciprocalGrad Relu Relu6 Relu6Grad ReluGrad Reshape Reverse
    ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt RsqrtGrad ScatterNd SegmentMax SegmentMean
    SegmentMin SegmentSum Select SelectV2 Selu SeluGrad Shape ShapeN Sigmoid SigmoidGrad Sign Sin Sinh
    Size Slice Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad
    SparseSoftmaxCrossEntropyWithLogits Split SplitV Sqrt SqrtGrad Square SquaredDifference Squeeze
    StopGradient StridedSlice StridedSliceGrad Sub Sum Svd Tan Tanh TanhGrad TensorScatterAdd
    TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile TopK TopKV2 Transpose
    TruncateDiv TruncateMod Unique UniqueV2 Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentProd UnsortedSegmentSum UpperBound Where Xdivy Xlog1py Xlogy ZerosLike
    """
)

LAYERS = names(
    """
    AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BatchToSpace BatchToSpaceND Conv Conv2D
    Conv2DBackpropFilter Conv2DBackpropInput Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2
    CropAndResize CudnnRNN CudnnRNNBackprop CudnnRNNBackpropV2 CudnnRNNBackpropV3
    CudnnRNNCanonicalToParams CudnnRNNParamsSize CudnnRNNV2 CudnnRNNV3 DepthToSpace DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dilation2D ExtractImagePatches
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsGradient
    FakeQuantWithMinMaxVarsPerChannel FakeQuantWithMinMaxVarsPerChannelGradient FusedBatchNorm
    FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 AdjustContrastv2 AdjustHue AdjustSaturation
    RGBToHSV HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3 LRN MaxPool MaxPool3D
    MaxPool3DGrad MaxPoolGrad MaxPoolV2 MaxPoolWithArgmax ResizeArea ResizeBicubic ResizeBilinear
    ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad ScaleAndTranslate SpaceToBatch
    SpaceToBatchND SpaceToDepth
    """
)

RANDOM = names(
    """
    Multinomial RandomGamma RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
    RngReadAndSkip RngSkip StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform
    StatefulUniformFullInt StatefulUniformInt StatelessMultinomial StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformFullInt
    StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
    StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2
    TruncatedNormal
    """
)

CONTROL_AND_STATE = names(
    """
    Assert Assign AssignAddVariableOp AssignSubVariableOp AssignVariableOp Case DestroyResourceOp
    DeviceIndex DisableCopyOnRead EmptyTensorList Enter Exit FakeParam If LoopCond Merge NextIteration
    OptionalFromValue OptionalGetValue OptionalHasValue OptionalNone PartitionedCall ReadVariableOp
    ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterUpdate ResourceStridedSliceAssign
    StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile Switch SymbolicGradient
    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGradV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3
    TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
    TensorListLength TensorListPopBack TensorListPushBack TensorListReserve TensorListResize
    TensorListScatterV2 TensorListSetItem TensorListStack VarHandleOp VarIsInitializedOp Variable
    VariableShape VariableV2 While IteratorGetNext
    """
)

OPERATORS = ARITHMETIC | LAYERS | RANDOM | CONTROL_AND_STATE

SAVER = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
"""Operators that write and read checkpoints. Every SavedModel has them. Its saver may reach them, its
signatures may not.
"""

SAVER_STRINGS = frozenset(
    {"StringJoin", "StaticRegexFullMatch", "RegexFullMatch", "AsString", "StringFormat"}
)
"""Harmless on strings: the saver builds file names with them, and assertions their messages."""

REASONS = {
    **dict.fromkeys(("PyFunc", "PyFuncStateless", "EagerPyFunc"), "runs Python code"),
    **dict.fromkeys(("ReadFile", "MatchingFiles", "WholeFileReader", "WholeFileReaderV2"), "reads files"),
    **dict.fromkeys(("WriteFile", "SaveSlices", "Save", "DebugIdentity", "DebugIdentityV2"), "writes files"),
    **dict.fromkeys(("Restore", "RestoreSlice", "ImmutableConst"), "reads files"),
    **dict.fromkeys(("PrintV2", "Print"), "can print into a file"),
    **dict.fromkeys(
        ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"), "reads a vocabulary file"
    ),
    **dict.fromkeys(("LookupTableFindV2", "HashTableV2", "LookupTableImportV2"), "needs a lookup table"),
    **dict.fromkeys(("RemoteCall", "Send", "Recv", "_Send", "_Recv"), "talks to other processes"),
}
"""Actions of the best-known refused operators, for the message."""
