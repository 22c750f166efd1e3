#include "tests/reference/decoder.h"

#include "tests/reference/operations.h"
#include "tests/reference/streamed_attention.h"

namespace boreal::reference {

namespace {

// What a block's backward needs, kept by name of the equation above.
struct AttentionTrace {
  Matrix n, q_raw, k_raw, q, k, v;
  AttentionResult attended;
};
struct MlpTrace {
  Matrix n, up, activated;
};
struct BlockTrace {
  Matrix x1, f, x2, g;  // inputs and outputs of the sublayers, before the norms and behind them
  AttentionTrace attention;
  MlpTrace mlp;
};

class Twin {
 public:
  Twin(const DecoderShape& shape, const Parameters& parameters, const DecoderBatch& batch)
      : shape_(shape), parameters_(parameters), batch_(batch) {}

  DecoderResult run() {
    Matrix x = gather(get("embedding.weight"), batch_.id);
    for (double& value : x.values) value *= shape_.embedding_scale;
    if (has("embedding.positions")) x = x + gather(get("embedding.positions"), batch_.position);
    std::vector<BlockTrace> traces;
    for (std::int64_t i = 0; i < shape_.layers; ++i) x = block(i, x, traces);

    const std::string matrix = shape_.tied ? "embedding.weight" : "head.weight";
    const Matrix normed = norm("head.norm", x);
    const Matrix raw = matmul(normed, transpose(get(matrix)));
    const double cap = shape_.logit_soft_cap;
    DecoderResult out;
    out.logits = cap > 0 ? soft_cap(raw, cap) : raw;
    std::vector<double> seed;
    for (const double weight : batch_.weight) seed.push_back(weight * batch_.scale);
    const CrossEntropy loss = cross_entropy(out.logits, batch_.target, seed);
    out.loss = loss.loss;
    for (std::int64_t r = 0; r < loss.loss.columns; ++r)
      out.total += loss.loss(0, r) * seed[static_cast<std::size_t>(r)];

    const Matrix d_raw = cap > 0 ? soft_cap_backward(loss.dlogits, raw, cap) : loss.dlogits;
    add(matrix, matmul(transpose(d_raw), normed));
    Matrix dx = norm_backward("head.norm", matmul(d_raw, get(matrix)), x);
    for (std::int64_t i = shape_.layers; i-- > 0;)
      dx = block_backward(i, dx, traces[static_cast<std::size_t>(i)]);
    if (has("embedding.positions"))
      add("embedding.positions", scatter(dx, batch_.position, get("embedding.positions").rows));
    for (double& value : dx.values) value *= shape_.embedding_scale;
    add("embedding.weight", scatter(dx, batch_.id, get("embedding.weight").rows));
    out.gradients = std::move(gradients_);
    return out;
  }

 private:
  bool has(const std::string& name) const { return parameters_.contains(name); }
  const Matrix& get(const std::string& name) const {
    const auto found = parameters_.find(name);
    CHECK(found != parameters_.end(), "the twin has no parameter {}", name);
    return found->second;
  }
  void add(const std::string& name, const Matrix& d) {
    const auto [entry, fresh] = gradients_.try_emplace(name, d);
    if (!fresh) entry->second = entry->second + d;
  }

  Matrix factors(const std::string& name) const {
    Matrix w = get(name + ".weight");
    for (double& value : w.values) value += shape_.plus;
    return w;
  }
  Matrix norm(const std::string& name, const Matrix& x) const {
    if (!shape_.layer_norm) return rms_norm(x, factors(name), shape_.norm_eps);
    return layer_norm(x, factors(name), get(name + ".bias"), shape_.norm_eps);
  }
  Matrix norm_backward(const std::string& name, const Matrix& dy, const Matrix& x) {
    const Matrix w = factors(name);
    const NormGradients d = shape_.layer_norm ? layer_norm_backward(dy, x, w, shape_.norm_eps)
                                              : rms_norm_backward(dy, x, w, shape_.norm_eps);
    add(name + ".weight", d.dw);
    if (shape_.layer_norm) add(name + ".bias", d.db);
    return d.dx;
  }

  Matrix linear(const std::string& name, const Matrix& x) const {
    const Matrix y = matmul(x, transpose(get(name + ".weight")));
    return has(name + ".bias") ? add_to_rows(y, get(name + ".bias")) : y;
  }
  Matrix linear_backward(const std::string& name, const Matrix& dy, const Matrix& x) {
    add(name + ".weight", matmul(transpose(dy), x));
    if (has(name + ".bias")) add(name + ".bias", column_sums(dy));
    return matmul(dy, get(name + ".weight"));
  }

  // The norm of queries or keys runs over as many columns as it has weights, piece by piece.
  Matrix head_norm(const std::string& name, const Matrix& x) const {
    if (!has(name + ".weight")) return x;
    const Matrix& w = get(name + ".weight");
    Matrix y(x.rows, 0);
    for (std::int64_t c = 0; c < x.columns; c += w.columns)
      y = beside(y, rms_norm(columns_of(x, c, c + w.columns), w, shape_.norm_eps));
    return y;
  }
  Matrix head_norm_backward(const std::string& name, const Matrix& dy, const Matrix& x) {
    if (!has(name + ".weight")) return dy;
    const Matrix& w = get(name + ".weight");
    Matrix dx(x.rows, 0);
    for (std::int64_t c = 0; c < x.columns; c += w.columns) {
      const NormGradients d = rms_norm_backward(
          columns_of(dy, c, c + w.columns), columns_of(x, c, c + w.columns), w, shape_.norm_eps);
      add(name + ".weight", d.dw);
      dx = beside(dx, d.dx);
    }
    return dx;
  }

  AttentionHeads heads_of(std::int64_t layer) const {
    AttentionHeads heads = shape_.heads;
    if (!shape_.window.empty()) heads.window = shape_.window[static_cast<std::size_t>(layer)];
    return heads;
  }

  Matrix attend(std::int64_t layer, const std::string& name, const Matrix& n,
                AttentionTrace& t) const {
    const AttentionHeads heads = heads_of(layer);
    t.n = n;
    const Matrix qkv = linear(name + ".qkv", n);
    const std::int64_t dim = qkv.columns / (heads.heads + 2 * heads.kv_heads);
    const std::int64_t k_begin = heads.heads * dim;
    const std::int64_t v_begin = k_begin + heads.kv_heads * dim;
    t.q_raw = columns_of(qkv, 0, k_begin);
    t.k_raw = columns_of(qkv, k_begin, v_begin);
    t.v = columns_of(qkv, v_begin, qkv.columns);
    t.q = rotary(head_norm(name + ".q_norm", t.q_raw), batch_.position, heads.heads,
                 shape_.frequency, 1);
    t.k = rotary(head_norm(name + ".k_norm", t.k_raw), batch_.position, heads.kv_heads,
                 shape_.frequency, 1);
    t.attended = shape_.streamed ? streamed_attention(heads, t.q, t.k, t.v)
                                 : attention(heads, batch_.document, t.q, t.k, t.v);
    return linear(name + ".out", t.attended.o);
  }
  Matrix attend_backward(std::int64_t layer, const std::string& name, const Matrix& dy,
                         const AttentionTrace& t) {
    const AttentionHeads heads = heads_of(layer);
    const Matrix d_o = linear_backward(name + ".out", dy, t.attended.o);
    const AttentionGradients d =
        shape_.streamed ? streamed_attention_backward(heads, t.q, t.k, t.v, t.attended, d_o)
                        : attention_backward(heads, batch_.document, t.q, t.k, t.v, d_o);
    const Matrix dq = rotary(d.dq, batch_.position, heads.heads, shape_.frequency, -1);
    const Matrix dk = rotary(d.dk, batch_.position, heads.kv_heads, shape_.frequency, -1);
    const Matrix d_qk = beside(head_norm_backward(name + ".q_norm", dq, t.q_raw),
                               head_norm_backward(name + ".k_norm", dk, t.k_raw));
    return linear_backward(name + ".qkv", beside(d_qk, d.dv), t.n);
  }

  std::string up_name(const std::string& name) const {
    return name + (has(name + ".gate_up.weight") ? ".gate_up" : ".up");
  }
  Matrix mlp(const std::string& name, const Matrix& n, MlpTrace& t) const {
    t.n = n;
    t.up = linear(up_name(name), n);
    switch (shape_.activation) {
      case Activation::swiglu: t.activated = swiglu(t.up); break;
      case Activation::gelu: t.activated = gelu(t.up); break;
      case Activation::gelu_erf: t.activated = gelu_erf(t.up); break;
      case Activation::geglu: t.activated = geglu(t.up); break;
    }
    return linear(name + ".down", t.activated);
  }
  Matrix mlp_backward(const std::string& name, const Matrix& dy, const MlpTrace& t) {
    const Matrix d = linear_backward(name + ".down", dy, t.activated);
    Matrix d_up;
    switch (shape_.activation) {
      case Activation::swiglu: d_up = swiglu_backward(d, t.up); break;
      case Activation::gelu: d_up = gelu_backward(d, t.up); break;
      case Activation::gelu_erf: d_up = gelu_erf_backward(d, t.up); break;
      case Activation::geglu: d_up = geglu_backward(d, t.up); break;
    }
    return linear_backward(up_name(name), d_up, t.n);
  }

  bool normed_before() const { return shape_.placement != Placement::after; }
  bool normed_after() const {
    return shape_.placement == Placement::after || shape_.placement == Placement::around;
  }
  Matrix before(const std::string& name, const Matrix& x) const {
    return normed_before() ? norm(name, x) : x;
  }
  Matrix after(const std::string& name, const Matrix& y) const {
    return normed_after() ? norm(name + "_after", y) : y;
  }
  Matrix before_backward(const std::string& name, const Matrix& d, const Matrix& x) {
    return normed_before() ? norm_backward(name, d, x) : d;
  }
  Matrix after_backward(const std::string& name, const Matrix& d, const Matrix& y) {
    return normed_after() ? norm_backward(name + "_after", d, y) : d;
  }

  Matrix block(std::int64_t i, const Matrix& x, std::vector<BlockTrace>& traces) const {
    const std::string name = fmt::format("blocks.{}.", i);
    BlockTrace t;
    t.x1 = x;
    t.f = attend(i, name + "attention", before(name + "norm1", x), t.attention);
    const Matrix middle = x + after(name + "norm1", t.f);
    t.x2 = shape_.placement == Placement::parallel ? x : middle;
    t.g = mlp(name + "mlp", before(name + "norm2", t.x2), t.mlp);
    Matrix y = middle + after(name + "norm2", t.g);
    traces.push_back(std::move(t));
    return y;
  }

  Matrix block_backward(std::int64_t i, const Matrix& dy, const BlockTrace& t) {
    const std::string name = fmt::format("blocks.{}.", i);
    const Matrix d_g = after_backward(name + "norm2", dy, t.g);
    const Matrix d_x2 =
        before_backward(name + "norm2", mlp_backward(name + "mlp", d_g, t.mlp), t.x2);
    const bool parallel = shape_.placement == Placement::parallel;
    const Matrix d_middle = parallel ? dy : dy + d_x2;
    const Matrix d_f = after_backward(name + "norm1", d_middle, t.f);
    const Matrix d_n = attend_backward(i, name + "attention", d_f, t.attention);
    const Matrix dx = d_middle + before_backward(name + "norm1", d_n, t.x1);
    return parallel ? dx + d_x2 : dx;
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
