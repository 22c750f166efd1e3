#include "kernels/draw.h"

#include "kernels/cpu/dispatch.h"

namespace boreal::kernels {

void draw_normals(const device::Context& ctx, const Rng& rng, std::uint64_t first, double scale,
                  float* out, std::int64_t count) {
  if (ctx.is_meta()) return;
  cpu::table(ctx).normals(rng.key().data(), first, scale, out, count);
}

}  // namespace boreal::kernels
