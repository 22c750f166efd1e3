#include "tests/reference/decoder.h"

#include "tests/reference/operations.h"
#include "tests/reference/streamed_attention.h"

namespace boreal::reference {

namespace {

// What a block's backward needs, kept by name of the equation above.
struct BlockTrace {
  Matrix x, n1, q, k, v;
  AttentionResult attended;
  Matrix middle, n2, up, activated;
};

class Twin {
 public:
  Twin(const DecoderShape& shape, const Parameters& parameters, const DecoderBatch& batch)
      : shape_(shape), parameters_(parameters), batch_(batch) {}

  DecoderResult run() {
    Matrix x = gather(get("embedding.weight"), batch_.id);
    if (!shape_.llama) x = x + gather(get("embedding.positions"), batch_.position);
    std::vector<BlockTrace> traces;
    for (std::int64_t i = 0; i < shape_.layers; ++i)
      x = block(fmt::format("blocks.{}.", i), x, traces);

    const std::string matrix = shape_.tied ? "embedding.weight" : "head.weight";
    const Matrix normed = norm("head.norm", x);
    DecoderResult out;
    out.logits = matmul(normed, transpose(get(matrix)));
    std::vector<double> seed;
    for (const double weight : batch_.weight) seed.push_back(weight * batch_.scale);
    const CrossEntropy loss = cross_entropy(out.logits, batch_.target, seed);
    out.loss = loss.loss;
    for (std::int64_t r = 0; r < loss.loss.columns; ++r)
      out.total += loss.loss(0, r) * seed[static_cast<std::size_t>(r)];

    add(matrix, matmul(transpose(loss.dlogits), normed));
    Matrix dx = norm_backward("head.norm", matmul(loss.dlogits, get(matrix)), x);
    for (std::int64_t i = shape_.layers; i-- > 0;)
      dx = block_backward(fmt::format("blocks.{}.", i), dx, traces[static_cast<std::size_t>(i)]);
    add("embedding.weight", scatter(dx, batch_.id, get("embedding.weight").rows));
    if (!shape_.llama)
      add("embedding.positions", scatter(dx, batch_.position, get("embedding.positions").rows));
    out.gradients = std::move(gradients_);
    return out;
  }

 private:
  const Matrix& get(const std::string& name) const {
    const auto found = parameters_.find(name);
    CHECK(found != parameters_.end(), "the twin has no parameter {}", name);
    return found->second;
  }
  void add(const std::string& name, const Matrix& d) {
    const auto [entry, fresh] = gradients_.try_emplace(name, d);
    if (!fresh) entry->second = entry->second + d;
  }

  Matrix norm(const std::string& name, const Matrix& x) const {
    if (shape_.llama) return rms_norm(x, get(name + ".weight"), shape_.norm_eps);
    return layer_norm(x, get(name + ".weight"), get(name + ".bias"), shape_.norm_eps);
  }
  Matrix norm_backward(const std::string& name, const Matrix& dy, const Matrix& x) {
    const Matrix& w = get(name + ".weight");
    const NormGradients d = shape_.llama ? rms_norm_backward(dy, x, w, shape_.norm_eps)
                                         : layer_norm_backward(dy, x, w, shape_.norm_eps);
    add(name + ".weight", d.dw);
    if (!shape_.llama) add(name + ".bias", d.db);
    return d.dx;
  }

  Matrix linear(const std::string& name, const Matrix& x) const {
    const Matrix y = matmul(x, transpose(get(name + ".weight")));
    return shape_.llama ? y : add_to_rows(y, get(name + ".bias"));
  }
  Matrix linear_backward(const std::string& name, const Matrix& dy, const Matrix& x) {
    add(name + ".weight", matmul(transpose(dy), x));
    if (!shape_.llama) add(name + ".bias", column_sums(dy));
    return matmul(dy, get(name + ".weight"));
  }

  Matrix rotated(const Matrix& x, std::int64_t heads, double direction) const {
    if (!shape_.llama) return x;
    return rotary(x, batch_.position, heads, shape_.rope_theta, direction);
  }

  AttentionHeads heads() const { return {shape_.heads, shape_.kv_heads}; }
  std::string up_name() const { return shape_.llama ? "mlp.gate_up" : "mlp.up"; }

  Matrix block(const std::string& name, const Matrix& x, std::vector<BlockTrace>& traces) const {
    BlockTrace t;
    t.x = x;
    t.n1 = norm(name + "norm1", x);
    const Matrix qkv = linear(name + "attention.qkv", t.n1);
    const std::int64_t dim = qkv.columns / (shape_.heads + 2 * shape_.kv_heads);
    const std::int64_t k_begin = shape_.heads * dim;
    const std::int64_t v_begin = k_begin + shape_.kv_heads * dim;
    t.q = rotated(columns_of(qkv, 0, k_begin), shape_.heads, 1);
    t.k = rotated(columns_of(qkv, k_begin, v_begin), shape_.kv_heads, 1);
    t.v = columns_of(qkv, v_begin, qkv.columns);
    t.attended = shape_.streamed ? streamed_attention(heads(), t.q, t.k, t.v)
                                 : attention(heads(), batch_.document, t.q, t.k, t.v);
    t.middle = x + linear(name + "attention.out", t.attended.o);
    t.n2 = norm(name + "norm2", t.middle);
    t.up = linear(name + up_name(), t.n2);
    t.activated = shape_.llama ? swiglu(t.up) : gelu(t.up);
    Matrix y = t.middle + linear(name + "mlp.down", t.activated);
    traces.push_back(std::move(t));
    return y;
  }

  Matrix block_backward(const std::string& name, const Matrix& dy, const BlockTrace& t) {
    const Matrix d_activated = linear_backward(name + "mlp.down", dy, t.activated);
    const Matrix d_up =
        shape_.llama ? swiglu_backward(d_activated, t.up) : gelu_backward(d_activated, t.up);
    const Matrix d_n2 = linear_backward(name + up_name(), d_up, t.n2);
    const Matrix d_middle = dy + norm_backward(name + "norm2", d_n2, t.middle);
    const Matrix d_o = linear_backward(name + "attention.out", d_middle, t.attended.o);
    const AttentionGradients d =
        shape_.streamed ? streamed_attention_backward(heads(), t.q, t.k, t.v, t.attended, d_o)
                        : attention_backward(heads(), batch_.document, t.q, t.k, t.v, d_o);
    const Matrix d_qkv =
        beside(beside(rotated(d.dq, shape_.heads, -1), rotated(d.dk, shape_.kv_heads, -1)), d.dv);
    const Matrix d_n1 = linear_backward(name + "attention.qkv", d_qkv, t.n1);
    return d_middle + norm_backward(name + "norm1", d_n1, t.x);
  }

  const DecoderShape& shape_;
  const Parameters& parameters_;
  const DecoderBatch& batch_;
  Parameters gradients_;
};

}  // namespace

DecoderResult decoder(const DecoderShape& shape, const Parameters& parameters,
                      const DecoderBatch& batch) {
  return Twin(shape, parameters, batch).run();
}

}  // namespace boreal::reference
