// An interpreter that gives the expected outputs of its rows in order, or, with -DWRONG, zeros.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "test_rows.h"
struct TfLiteTensor {
  union {
    char* raw;
    void* data;
  } data;
};
namespace tflite {
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena, size_t size) : arena_(arena), size_(size) {
    input_.data.raw = reinterpret_cast<char*>(in_);
    output_.data.raw = reinterpret_cast<char*>(out_);
  }
  TfLiteStatus AllocateTensors() { return arena_ != nullptr && size_ % 16 == 0 ? kTfLiteOk : kTfLiteError; }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return size_; }
  TfLiteStatus Invoke() {
    const size_t taken = kInput0Size * sizeof(kInput0Rows[0]);
    if (std::memcmp(in_, kInput0Rows + row_ * kInput0Size, taken) != 0) return kTfLiteError;
#ifndef WRONG
    std::memcpy(out_, kOutput0Rows + row_ * kOutput0Size, kOutput0Size * sizeof(kOutput0Rows[0]));
#endif
    ++row_;
    return kTfLiteOk;
  }

 private:
  uint8_t* arena_;
  size_t size_;
  int row_ = 0;
  TfLiteTensor input_, output_;
  alignas(16) uint8_t in_[1 << 16] = {};
  alignas(16) uint8_t out_[1 << 16] = {};
};
}  // namespace tflite
