// A resolver that takes at most as many operators as it was made for, each once.
#pragma once
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
struct MicroOpResolver {
  unsigned added = 0;
};
template <unsigned kCount>
struct MicroMutableOpResolver : MicroOpResolver {
  TfLiteStatus Add() { return added++ < kCount ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus AddConv2D() { return Add(); }
  TfLiteStatus AddDepthwiseConv2D() { return Add(); }
  TfLiteStatus AddFullyConnected() { return Add(); }
  TfLiteStatus AddMean() { return Add(); }
  TfLiteStatus AddRelu() { return Add(); }
  TfLiteStatus AddReshape() { return Add(); }
  TfLiteStatus AddSoftmax() { return Add(); }
};
}  // namespace tflite
