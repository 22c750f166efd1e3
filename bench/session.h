// Session: measures cases and prints them. A case is timed in several runs, and where a peer is
// given (PyTorch in its own process) its runs alternate with ours, so that a busy moment of the
// machine hits both. The figure is the median, with the smallest and the largest. Where the case
// asks for it, all is done twice, against PyTorch eager and compiled: a line each. Thread rule: one
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "device/context.h"
#include "kernels/machine_peak.h"

namespace boreal::bench {

class Peer;

struct Options {
  bool json = false;
  std::int64_t runs = 5;
  std::int64_t threads = 1;
  std::string filter;    // part of a case's name; empty: all
  std::string oracle;    // a Python with torch; empty: no peer
  bool compiled = true;  // also against torch.compile, where a case has that
};

struct Case {
  std::string name;       // "gemm.forward.gpt2.bf16"
  std::string unit;       // of value: "GFLOP/s", "GB/s", "tokens/s"
  double units = 0;       // of work in one run
  double peak_per_s = 0;  // what the machine could do at most, in the same unit
  std::string peak_name;  // "bf16", "fp32", "memory"
  std::string peer;       // what peer_torch.py is to do; empty: it has no such case
  std::function<void()> run;
  // Instead of run, for what runs in other processes: repeats it for at least so long; the seconds
  // of one run.
  std::function<double(double sample_s)> elsewhere = {};
  // The peer has compiled forms of it too ("compiled", "compiled-model").
  std::vector<std::string> compiled = {};
};

class Session {
 public:
  // Measures the machine's peaks first.
  explicit Session(const Options& options);
  ~Session();

  device::Pool& pool() { return pool_; }
  const device::Context& ctx() const { return ctx_; }
  // The machine's measured peak of a type [GFLOP/s] and of reading memory [GB/s].
  double peak_gflops(DType dtype) const {
    return (dtype == DType::f32 ? peak_.f32_flops : peak_.bf16_flops) / 1e9;
  }
  double peak_read_gb_per_s() const { return read_gb_per_s_; }

  bool wants(const std::string& name) const;
  // Runs and prints the case unless the filter leaves it out.
  void measure(const Case& c);
  // The same, its runs taking turns with those of another way to do the same work, `name`, instead
  // of a peer's.
  void compare(const Case& c, const std::function<void()>& other, const std::string& name);
  // A figure that is no rate of a case: a share of what.
  void note(const std::string& name, double share, const std::string& of) const;
  // Figures of which less is better, ours and those of a peer, none if it has none: the ratio is
  // that of the medians.
  void amounts(const std::string& name, const std::string& unit, const std::vector<double>& ours,
               const std::vector<double>& theirs, const std::string& peer_name) const;

  const Options& options() const { return options_; }

 private:
  // Median, smallest and largest of some rates.
  struct Spread {
    double median = 0, min = 0, max = 0;
  };
  static Spread spread_of(std::vector<double> rates);
  void measure_against(const Case& c, const std::string& variant);
  void print(const std::string& name, const std::string& unit, const Spread& ours,
             double share_of_peak, const std::string& peak_name, const Spread* peer,
             const std::string& peer_name = {}) const;

  Options options_;
  device::Pool pool_;
  device::Context ctx_;
  kernels::MachinePeak peak_;
  double read_gb_per_s_ = 0;
  std::unique_ptr<Peer> peer_;
};

// What a benchmark program defines: its cases, in order.
void run_cases(Session& session);

}  // namespace boreal::bench
