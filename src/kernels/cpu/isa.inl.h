// Defines the table BOREAL_TABLE out of the loops, compiled with the flags of one instruction set.
#pragma once

#include "kernels/cpu/activation.inl.h"
#include "kernels/cpu/attention_backward.inl.h"
#include "kernels/cpu/attention_forward.inl.h"
#include "kernels/cpu/draw.inl.h"
#include "kernels/cpu/family.inl.h"
#include "kernels/cpu/flat.inl.h"
#include "kernels/cpu/gemm.inl.h"
#include "kernels/cpu/loss.inl.h"
#include "kernels/cpu/norm.inl.h"
#include "kernels/cpu/pack.inl.h"
#include "kernels/cpu/quantized.inl.h"
#include "kernels/cpu/rowwise.inl.h"
#include "kernels/cpu/table.h"

namespace boreal::kernels::cpu {

#define BOREAL_BOTH(name) \
  { BOREAL_ISA::name<float>, BOREAL_ISA::name<std::uint16_t> }

#define BOREAL_ACTIVATION(name, kind) \
  { BOREAL_ISA::name<float, BOREAL_ISA::kind>, BOREAL_ISA::name<std::uint16_t, BOREAL_ISA::kind> }

const CpuTable BOREAL_TABLE = {
    .gemm = BOREAL_BOTH(gemm),
    .pack = BOREAL_BOTH(pack),
    .pack_left = BOREAL_BOTH(pack_left),
    .left_rows = {BOREAL_ISA::kLeftRows<float>, BOREAL_ISA::kLeftRows<std::uint16_t>},
    .transpose = BOREAL_BOTH(transpose),
    .attention_forward = BOREAL_BOTH(attention_forward),
    .attention_backward = BOREAL_BOTH(attention_backward),
    .rms_forward = BOREAL_BOTH(rms_forward),
    .layer_forward = BOREAL_BOTH(layer_forward),
    .rms_backward = BOREAL_BOTH(rms_backward),
    .layer_backward = BOREAL_BOTH(layer_backward),
    .rope = BOREAL_BOTH(rope),
    .activation = {BOREAL_ACTIVATION(activation, GeluTanh), BOREAL_ACTIVATION(activation, GeluErf),
                   BOREAL_ACTIVATION(gated, Silu), BOREAL_ACTIVATION(gated, GeluTanh)},
    .activation_backward = {BOREAL_ACTIVATION(activation_backward, GeluTanh),
                            BOREAL_ACTIVATION(activation_backward, GeluErf),
                            BOREAL_ACTIVATION(gated_backward, Silu),
                            BOREAL_ACTIVATION(gated_backward, GeluTanh)},
    .softmax_sums = BOREAL_ISA::softmax_sums,
    .softmax_gradient = BOREAL_BOTH(softmax_gradient),
    .cap_row = BOREAL_ISA::cap_row,
    .column_sum = BOREAL_BOTH(column_sum),
    .gather = BOREAL_BOTH(gather),
    .scatter = BOREAL_BOTH(scatter),
    .affine = BOREAL_BOTH(affine),
    .add = BOREAL_BOTH(add),
    .head_squares = BOREAL_BOTH(head_squares),
    .head_norm = BOREAL_BOTH(head_norm),
    .head_dots = BOREAL_BOTH(head_dots),
    .head_norm_backward = BOREAL_BOTH(head_norm_backward),
    .head_norm_weight = BOREAL_BOTH(head_norm_weight),
    .quantize_rows = BOREAL_BOTH(quantize_rows),
    .quantized_gemm = {BOREAL_ISA::quantized_gemm<8>, BOREAL_ISA::quantized_gemm<4>},
    .adamw = BOREAL_ISA::adamw,
    .sum_squares = BOREAL_ISA::sum_squares,
    .normals = BOREAL_ISA::normals,
    .to_bf16 = BOREAL_ISA::to_bf16,
    .to_f32 = BOREAL_ISA::to_f32,
    .sum_lanes = BOREAL_ISA::sum_flat,
    .peak_f32 = BOREAL_ISA::peak_f32,
    .peak_bf16 = BOREAL_ISA::peak_bf16,
};

}  // namespace boreal::kernels::cpu
