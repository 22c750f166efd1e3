#include "monitor/tensorboard.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "monitor/crc32c.h"

namespace boreal::monitor {

namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

// Field numbers of tensorflow.Event, Summary, Summary.Value and SessionLog.
enum EventField { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
enum SummaryField { kValue = 1 };
enum ValueField { kTag = 1, kSimpleValue = 2 };
enum SessionLogField { kStatus = 1 };
constexpr int kSessionStart = 1;
constexpr std::string_view kNamePrefix = "events.out.tfevents.";

template <class Fill>
std::string message(const Fill& fill) {
  std::string bytes;
  {
    StringOutputStream stream(&bytes);
    CodedOutputStream out(&stream);
    fill(&out);
  }
  return bytes;
}

std::string file_version_event(double wall_s) {
  return message([&](CodedOutputStream* out) {
    WireFormatLite::WriteDouble(kWallTime, wall_s, out);
    WireFormatLite::WriteString(kFileVersion, "brain.Event:2", out);
  });
}

std::string session_start_event(double wall_s, std::int64_t first_step) {
  return message([&](CodedOutputStream* out) {
    WireFormatLite::WriteDouble(kWallTime, wall_s, out);
    WireFormatLite::WriteInt64(kStep, first_step, out);
    const std::string log = message(
        [](CodedOutputStream* inner) { WireFormatLite::WriteEnum(kStatus, kSessionStart, inner); });
    WireFormatLite::WriteBytes(kSessionLog, log, out);
  });
}

std::string scalars_event(double wall_s, std::int64_t step,
                          const std::vector<EventWriter::Scalar>& scalars) {
  const std::string summary = message([&](CodedOutputStream* out) {
    for (const auto& [tag, value] : scalars) {
      const std::string entry = message([&](CodedOutputStream* inner) {
        WireFormatLite::WriteString(kTag, tag, inner);
        WireFormatLite::WriteFloat(kSimpleValue, static_cast<float>(value), inner);
      });
      WireFormatLite::WriteBytes(kValue, entry, out);
    }
  });
  return message([&](CodedOutputStream* out) {
    WireFormatLite::WriteDouble(kWallTime, wall_s, out);
    WireFormatLite::WriteInt64(kStep, step, out);
    WireFormatLite::WriteBytes(kSummary, summary, out);
  });
}

template <class Unsigned>
void append_little_endian(std::string& out, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i)
    out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

// TensorBoard reads the files of a folder in the order of their names. The name carries the time;
// where two runs share a second, or the clock went back, it carries one more than the last name's.
Result<std::string> next_name(Env& env, const std::string& folder, double wall_s) {
  ASSIGN_OR_RETURN(const auto names, env.list_dir(folder));
  auto stamp = static_cast<std::int64_t>(wall_s);
  for (const std::string& name : names) {
    if (!name.starts_with(kNamePrefix)) continue;
    std::int64_t earlier = 0;
    std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), earlier);
    stamp = std::max(stamp, earlier + 1);
  }
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("{}{:010}.{}.{}", kNamePrefix, stamp, host[0] == '\0' ? "host" : host,
                     ::getpid());
}

}  // namespace

std::string tfrecord(std::string_view data) {
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(data.size()));
  std::string record = length;
  append_little_endian(record, masked_crc32c(length));
  record += data;
  append_little_endian(record, masked_crc32c(data));
  return record;
}

Result<EventWriter> EventWriter::open(Env& env, const Clock& clock, const std::string& folder,
                                      std::int64_t resume_step) {
  RETURN_IF_ERROR(env.make_dirs(folder));
  ASSIGN_OR_RETURN(const std::string name, next_name(env, folder, clock.wall_s()));
  ASSIGN_OR_RETURN(auto file, env.create(join_path(folder, name)));
  std::string head = tfrecord(file_version_event(clock.wall_s()));
  if (resume_step > 0) head += tfrecord(session_start_event(clock.wall_s(), resume_step + 1));
  RETURN_IF_ERROR(file->append(head));
  RETURN_IF_ERROR(env.sync_dir(folder));
  return EventWriter(clock, std::move(file));
}

Status EventWriter::append(std::int64_t step, const std::vector<Scalar>& scalars) {
  return file_->append(tfrecord(scalars_event(clock_->wall_s(), step, scalars)));
}

Status EventWriter::append(const StepMetrics& row) {
  std::vector<Scalar> scalars = {{"train/loss", row.loss},
                                 {"train/grad_norm", row.grad_norm},
                                 {"train/lr", row.lr},
                                 {"speed/step_ms", row.step_ms},
                                 {"speed/tokens_per_s", row.tokens_per_s},
                                 {"speed/flop_utilisation", row.flop_utilisation}};
  if (row.validation_loss) scalars.emplace_back("validation/loss", *row.validation_loss);
  for (const auto& [phase, ms] : row.phases_ms) scalars.emplace_back("phase_ms/" + phase, ms);
  return append(row.step, scalars);
}

Status EventWriter::sync() {
  return file_->sync();
}

}  // namespace boreal::monitor
