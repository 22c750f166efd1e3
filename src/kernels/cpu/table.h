// CpuTable: the loops of the CPU kernels as plain functions on pointers, one table for each
// instruction set. This header and the .inl.h files beside it are compiled once per set with that
// set's flags, so they include nothing that has inline functions shared with other translation
// units: the linker may keep any copy of those, and one with wider instructions would crash an
// older machine.
//
// Matrices are row-major; `ld` is the distance between rows in elements. bf16 values travel as
// their bits (uint16_t). Thread rule: pure functions on disjoint memory; the caller cuts the work.
#pragma once

#include <cstdint>

namespace boreal::kernels::cpu {

// Columns of B that a packed panel holds.
constexpr std::int64_t kPanel = 64;

// C[m, n] (+)= A[m, k] . B[k, n] (+ bias) (+ residual).
// B is packed in panels of 64 columns, zero padded; fp32: panel[k][64], bf16: panel[k / 2][64][2],
// k even. The sum over k is one chain in rising order (AMX: of blocks of 32), whatever m, n and the
// number of threads.
struct GemmArgs {
  const void* a = nullptr;
  std::int64_t lda = 0;
  bool a_in_groups = false;  // a is what pack_left made, from a group's first row on
  const void* b = nullptr;
  std::int64_t m = 0, n = 0, k = 0;
  void* c = nullptr;
  std::int64_t ldc = 0;
  bool c_is_f32 = true;
  bool accumulate = false;         // C += ..., C fp32
  const float* bias = nullptr;     // [n]
  const void* residual = nullptr;  // [m, n] of C's type
  std::int64_t ldr = 0;
  bool b_is_far = false;  // its panels are in no cache: they are read for few rows
  bool long_sum = false;  // k outermost, sums wait in C: C fp32, no bias, no residual, few rows
};

struct AttentionArgs {
  const void* q = nullptr;  // row i, head h at q + i * ldq + h * head_dim; k and v by kv head
  const void* k = nullptr;
  const void* v = nullptr;
  void* o = nullptr;
  std::int64_t ldq = 0, ldk = 0, ldv = 0, ldo = 0;
  float* lse = nullptr;  // [heads, queries of the whole sequence]; may be null forward
  std::int64_t lse_stride = 0;
  std::int64_t heads_per_kv = 1;
  std::int64_t head_dim = 64;
  // Keys [0, keys); queries [0, queries) stand at key positions query_begin + i. All of one
  // document.
  std::int64_t keys = 0, queries = 0, query_begin = 0;
  // Forward: which of lane_tiles() to compute.
  std::int64_t tile_begin = 0, tile_end = 0;
  // Keys [64 i, 64 (i + 1)) lie from row pages[i] of k and v on; null: in one piece.
  const std::int32_t* pages = nullptr;
  float scale = 1;
  std::int64_t window = 0;         // keys that a query sees, itself the last; 0: all
  float soft_cap = 0;              // 0: none
  const float* slopes = nullptr;   // of the kv head's query heads; null: none
  const float* cos_sin = nullptr;  // [positions][rotary]: cosines, then sines; null: none
  std::int64_t rotary = 0;         // features that are turned
  bool keys_rotated = false;       // k is turned already
  float* scratch = nullptr;
  // backward only
  const void* d_o = nullptr;  // as o
  void* dq = nullptr;         // as q, k, v
  void* dk = nullptr;
  void* dv = nullptr;
};

// Rows of `pieces` runs of `columns` (heads, or one), each normed by itself. Strides in elements.
struct NormArgs {
  const void* x = nullptr;
  const void* residual = nullptr;  // with it x + residual is normed, and written to sum
  void* sum = nullptr;
  const void* after = nullptr;  // added to the normed row; may be null
  void* y = nullptr;
  std::int64_t ldx = 0, ldr = 0, lds = 0, lda = 0, ldy = 0;
  const float* w = nullptr;  // [columns]
  const float* b = nullptr;  // LayerNorm only
  float offset = 0;          // of w
  float* mean = nullptr;     // [rows, pieces] or null; LayerNorm only
  float* rstd = nullptr;
  std::int64_t rows = 0, pieces = 1, columns = 0;
  float eps = 0;
};

struct NormBackwardArgs {
  const void* dy = nullptr;
  const void* x = nullptr;
  const void* dres = nullptr;  // added to dx; may be null
  void* dx = nullptr;          // may be dy or dres
  std::int64_t lddy = 0, ldx = 0, lddres = 0, lddx = 0;
  const float* w = nullptr;
  float offset = 0;
  const float* mean = nullptr;
  const float* rstd = nullptr;
  float* dw = nullptr;  // [columns], added to row after row; may be null, db with it
  float* db = nullptr;
  std::int64_t rows = 0, pieces = 1, columns = 0;
};

// x [rows, columns], or gate | up [rows, 2 columns]; y and dy [rows, columns], dx as x.
struct ActivationArgs {
  const void* x = nullptr;
  const void* dy = nullptr;
  void* dx = nullptr;
  void* y = nullptr;  // may be null in backward
  std::int64_t rows = 0, columns = 0;
};

// One row of logits.
struct SoftmaxArgs {
  const float* logits = nullptr;
  std::int64_t columns = 0;
  float cap = 0;  // 0: none
  // The largest logit, the sum of e^(logit - largest), and the sum of that times (logit - largest),
  // which may be null.
  float* max = nullptr;
  float* sum = nullptr;
  float* dot = nullptr;
  // gradient only: (p spread - onehot) seed; a target outside [0, columns) is another rank's
  std::int64_t target = -1;
  float lse = 0, spread = 1, seed = 0;
  void* dlogits = nullptr;  // may be logits
};

// RMSNorm of heads: x and dx rows of ldx elements, y and dy rows of ldy; sums and rstd
// [rows, groups].
struct HeadArgs {
  const void* x = nullptr;
  const void* dy = nullptr;
  void* y = nullptr;
  void* dx = nullptr;
  const float* w = nullptr;
  float* dw = nullptr;
  float* sums = nullptr;
  const float* rstd = nullptr;
  std::int64_t ldx = 0, ldy = 0;
  std::int64_t rows = 0, groups = 1, width = 0;
  float count = 1;
};

// Weights in blocks along k, each with a scale, and what of the activations is rounded with them
// (quantized.h).
constexpr std::int64_t kQuantizedBlock = 32;
// A block of activations below this is zero: its reciprocal would leave the floats.
constexpr float kQuantizedTiny = 1e-30F;

// Activations as integers, block by block of all rows: what a tile reads lies side by side.
struct RoundedRows {
  std::int8_t* q = nullptr;       // [k / 32][stride][32]
  float* scale = nullptr;         // [k / 32][stride]
  std::int32_t* start = nullptr;  // [k / 32][stride]: minus the weights' offset x the sum of q
  std::int64_t stride = 0;        // rows
};

// C[m, n] = A[m, k] . B[k, n] (+ bias) (+ residual), A rounded by quantize_rows.
// B in panels of 64 columns, each panel[k / 32]{ fp16 scale[64], weights }; 8 bits: u8 [8][64][4],
// weight + 128 of k = 4 step + place; 4 bits: u8 [4][64][4], weight + 8 of k = 4 step + place in
// the low half of a byte and of k + 16 in the high one.
struct QuantizedArgs {
  RoundedRows a;
  const std::uint8_t* b = nullptr;
  std::int64_t m = 0, n = 0, k = 0;  // k a multiple of 32
  void* c = nullptr;
  std::int64_t ldc = 0;
  bool c_is_f32 = true;
  const float* bias = nullptr;     // [n]
  const void* residual = nullptr;  // [m, n] of C's type
  std::int64_t ldr = 0;
};

struct AdamArgs {
  float* master = nullptr;
  float* grad = nullptr;  // zeroed if zero_grad
  float* m = nullptr;
  float* v = nullptr;
  std::uint16_t* copy = nullptr;  // the new values as bf16; may be null
  bool zero_grad = false;
  std::int64_t count = 0;
  float scale = 1;  // of the gradient: the clip factor
  float beta1 = 0, beta2 = 0, eps = 0;
  float gain1 = 0, gain2 = 0;  // 1 - beta, taken in double: 1 - 0.999F is off by 1.3e-5
  float step_size = 0;         // lr / (1 - beta1^t)
  float inv_sqrt_bias2 = 0;    // 1 / sqrt(1 - beta2^t)
  float decay = 0;             // lr * weight_decay
};

// Each group holds the fp32 version first, then the bf16 one.
struct CpuTable {
  using Gemm = void (*)(const GemmArgs&);
  // B[k][n] from src[k][n]: rows of src are rows of B. Packs panels [panel_begin, panel_end).
  // With transposed, B[k][n] = src[n][k]. src fp32 or bf16; the panels are of the table entry's
  // type.
  using Pack = void (*)(const void* src, bool src_is_f32, std::int64_t ld, bool transposed,
                        std::int64_t k, std::int64_t n, std::int64_t panel_begin,
                        std::int64_t panel_end, void* dst);
  // The left side A = transpose(src), src [k][m], in groups [begin, end) of left_rows rows:
  // [k / pair][left_rows][pair], zero padded; with left_rows = 1 plain rows of padded k. Both sides
  // of a product whose sum runs over the rows of its operands are packed without turning them.
  using PackLeft = void (*)(const void* src, std::int64_t ld, std::int64_t k, std::int64_t m,
                            std::int64_t begin, std::int64_t end, void* dst);
  // dst[c][r] = src[r][c] for columns [begin, end); dst rows are padded with zeros up to ldd.
  using Transpose = void (*)(const void* src, std::int64_t lds, std::int64_t rows,
                             std::int64_t begin, std::int64_t end, void* dst, std::int64_t ldd);
  using Attention = void (*)(const AttentionArgs&);
  using Norm = void (*)(const NormArgs&);
  using NormBackward = void (*)(const NormBackwardArgs&);
  // Rotates pairs (i, i + dim / 2) of `heads` heads of head_dim in each row by the angles of its
  // position; sign -1 rotates back.
  using Rope = void (*)(void* x, std::int64_t ld, const std::int32_t* position,
                        const float* cos_sin, std::int64_t rows, std::int64_t heads,
                        std::int64_t head_dim, std::int64_t dim, float sign);
  using Activation = void (*)(const ActivationArgs&);
  using Softmax = void (*)(const SoftmaxArgs&);
  using ColumnSum = void (*)(const void* x, std::int64_t ld, std::int64_t rows, std::int64_t begin,
                             std::int64_t end, float* sum);
  // The table holds rows [first, first + count); others are zeros (add nothing, receive nothing).
  using Gather = void (*)(const void* table, std::int64_t columns, std::int64_t first,
                          std::int64_t count, const std::int32_t* id, std::int64_t rows,
                          bool accumulate, void* y);
  using Scatter = void (*)(const void* dy, std::int64_t columns, const std::int32_t* id,
                           std::int64_t rows, std::int64_t begin, std::int64_t end,
                           std::int64_t first, std::int64_t count, float* grad);
  // Loops of some families (family.inl.h).
  using Affine = void (*)(const void* x, void* y, std::int64_t count, float factor, float offset);
  using Add = void (*)(const void* a, const void* b, void* y, std::int64_t count);
  using Heads = void (*)(const HeadArgs&);
  using HeadsWeight = void (*)(const HeadArgs&, std::int64_t begin, std::int64_t end);

  Gemm gemm[2];
  Pack pack[2];
  PackLeft pack_left[2];
  std::int64_t left_rows[2];
  Transpose transpose[2];
  Attention attention_forward[2];
  Attention attention_backward[2];
  Norm rms_forward[2];
  Norm layer_forward[2];
  NormBackward rms_backward[2];
  NormBackward layer_backward[2];
  Rope rope[2];
  // In the order of kernels::Activation.
  Activation activation[4][2];
  Activation activation_backward[4][2];
  Softmax softmax_sums;
  Softmax softmax_gradient[2];  // type of dlogits
  void (*cap_row)(float* x, std::int64_t columns, float cap);
  ColumnSum column_sum[2];
  Gather gather[2];
  Scatter scatter[2];
  Affine affine[2];
  Add add[2];
  Heads head_squares[2];
  Heads head_norm[2];
  Heads head_dots[2];
  Heads head_norm_backward[2];
  HeadsWeight head_norm_weight[2];
  // Rows [begin, end) of x, padded with zeros to whole blocks. A block that is not finite gets NaN
  // as its scale.
  using QuantizeRows = void (*)(const void* x, std::int64_t ld, std::int64_t columns,
                                std::int64_t begin, std::int64_t end, std::int32_t offset,
                                const RoundedRows& out);
  QuantizeRows quantize_rows[2];
  void (*quantized_gemm[2])(const QuantizedArgs&);  // 8 bits, 4 bits
  void (*adamw)(const AdamArgs&);
  double (*sum_squares)(const float* x, std::int64_t count);
  // out[i] = scale * Rng::normal(first + i), rounded once.
  void (*normals)(const std::uint32_t* key, std::uint64_t first, double scale, float* out,
                  std::int64_t count);
  void (*to_bf16)(const float* x, std::uint16_t* y, std::int64_t count);
  void (*to_f32)(const std::uint16_t* x, float* y, std::int64_t count);
  // Sum with many partial sums, to read memory at full speed.
  double (*sum_lanes)(const float* x, std::int64_t count);
  // Both return the FLOPs of a loop of independent multiply-adds on registers, for the machine's
  // peak.
  double (*peak_f32)(std::int64_t iterations);
  double (*peak_bf16)(std::int64_t iterations);
};

// Tiles of 64 lanes of one call: 64 queries of a head, or where there are fewer queries all of them
// of several heads.
constexpr std::int64_t lane_tiles(std::int64_t queries, std::int64_t heads_per_kv) {
  if (queries >= kPanel || heads_per_kv == 1)
    return heads_per_kv * ((queries + kPanel - 1) / kPanel);
  const std::int64_t together = kPanel / queries;
  return (heads_per_kv + together - 1) / together;
}

// Floats of scratch that one attention call needs, for elements of `size` bytes; whole cache lines,
// enough for every set. Features are padded to 32, and by a group of rows.
constexpr std::int64_t padded_dim(std::int64_t dim) {
  return (dim + 31) / 32 * 32;
}
constexpr std::int64_t padded_keys(std::int64_t keys) {
  return (keys + kPanel - 1) / kPanel * kPanel;
}
constexpr std::int64_t attention_forward_scratch(std::int64_t keys, std::int64_t dim,
                                                 std::int64_t size) {
  const std::int64_t row = padded_dim(dim) + 8;
  return (padded_keys(keys) * 2 * row + kPanel * (2 * row + kPanel)) * size / 4 +
         kPanel * (kPanel + 2 * row);
}
constexpr std::int64_t attention_backward_scratch(std::int64_t keys, std::int64_t dim,
                                                  std::int64_t size) {
  const std::int64_t row = padded_dim(dim) + 8;
  return (padded_keys(keys) * 3 * row + kPanel * (6 * row + 3 * kPanel)) * size / 4 +
         padded_keys(keys) * 2 * row + kPanel * (2 * kPanel + 2 * row);
}

extern const CpuTable kTableV2;
extern const CpuTable kTableAvx2;
extern const CpuTable kTableAvx512;
extern const CpuTable kTableAvx512Bf16;
extern const CpuTable kTableAmxBf16;

}  // namespace boreal::kernels::cpu
