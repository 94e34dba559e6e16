// From the parts of a call to the inputs of a form, and its logits back to the parts.
#include "runtime/cpu_steps.h"

#include <algorithm>
#include <numeric>
#include <system_error>

#include "ops/attention/runs.h"

namespace dsv4 {

namespace {

/// An i32 input whose tensor is made anew only when its length changes.
int32_t* input_of_length(CheckedInference& inference, const char* name, ov::Tensor& tensor, int64_t length, int64_t width = 0) {
  ov::Shape shape = {static_cast<size_t>(length)};
  if (width > 0) shape.push_back(static_cast<size_t>(width));
  if (!tensor || tensor.get_shape() != shape) {
    const ov::Tensor made(ov::element::i32, shape);
    inference.set(name, made);
    tensor = made;
  }
  return tensor.data<int32_t>();
}

}  // namespace

CpuSteps::Form::Form(ov::CompiledModel model, int64_t known_rows) : compiled(std::move(model)), rows(known_rows), inference(compiled) {}

CpuSteps::CpuSteps(const std::shared_ptr<ov::Model>& program, const ov::AnyMap& properties, bool one_at_a_time)
    : program_(program),
      properties_(properties),
      one_at_a_time_(one_at_a_time),
      vocabulary_(program->output(0).get_partial_shape()[1].get_length()),
      any_(core_.compile_model(program, "CPU", properties), 0) {
  FewRows& one = few_[0];
  one.form = compile(kFewRows[0]);
  one.wanted = one.done = true;
}

CpuSteps::~CpuSteps() {
  for (FewRows& few : few_) {
    if (few.thread.joinable()) few.thread.join();
  }
}

std::unique_ptr<CpuSteps::Form> CpuSteps::compile(int64_t rows) {
  const std::shared_ptr<ov::Model> known = program_->clone();
  known->reshape({{"input_ids", {rows}}, {"runs", {rows, ops::kRunNumbers}}, {"logit_rows", {rows}}});
  return std::make_unique<Form>(core_.compile_model(known, "CPU", properties_), rows);
}

void CpuSteps::compile_in_background(FewRows& few, int64_t rows) {
  few.wanted = true;
  // Without a thread or the memory for it, say, steps go on with the form for any number of rows.
  try {
    few.thread = std::thread([this, &few, rows] {
      std::unique_ptr<Form> form;
      try {
        form = compile(rows);
      } catch (const std::exception&) {
        form.reset();
      }
      const std::lock_guard lock(mutex_);
      few.form = std::move(form);
      few.done = true;
      compiled_.notify_all();
    });
  } catch (const std::system_error&) {
    few.done = true;
  }
}

bool CpuSteps::wait_for_form(int64_t rows) {
  std::unique_lock lock(mutex_);
  FewRows& few = few_[static_cast<size_t>(std::find(kFewRows.begin(), kFewRows.end(), rows) - kFewRows.begin())];
  if (!few.wanted) compile_in_background(few, rows);
  compiled_.wait(lock, [&] { return few.done; });
  return few.form != nullptr;
}

CpuSteps::Form& CpuSteps::form_for(int64_t rows, int64_t logit_rows) {
  const auto* const found = std::find(kFewRows.begin(), kFewRows.end(), rows);
  if (found == kFewRows.end() || logit_rows == 0) return any_;
  const std::lock_guard lock(mutex_);
  FewRows& few = few_[static_cast<size_t>(found - kFewRows.begin())];
  if (!few.wanted) compile_in_background(few, rows);
  return few.form ? *few.form : any_;
}

void CpuSteps::infer(std::span<const Part> parts) {
  int64_t rows = 0, logit_rows = 0;
  for (const Part& part : parts) {
    rows += std::ssize(part.tokens);
    logit_rows += part.logit_rows;
  }
  Form& form = form_for(rows, logit_rows);
  const std::lock_guard turn(one_at_a_time_ ? any_.turns : form.turns);

  CheckedInference& inference = form.inference;
  int32_t* id = input_of_length(inference, "input_ids", form.ids, rows);
  // Of a form with known shapes there are as many runs as rows; those that are not needed have no rows.
  const int64_t runs = form.rows > 0 ? rows : std::ssize(parts);
  int32_t* run = input_of_length(inference, "runs", form.runs, runs, ops::kRunNumbers);
  // And it gives the logits of all of them: the head reads its weights once, and calls of few rows need not wait for a prompt that the other form has taken.
  const int64_t given_rows = form.rows > 0 ? rows : logit_rows;
  int32_t* logit_row = input_of_length(inference, "logit_rows", form.logit_rows, given_rows);
  if (form.rows > 0) std::iota(logit_row, logit_row + rows, 0);
  std::fill_n(run, runs * ops::kRunNumbers, 0);
  int64_t end = 0;
  for (const Part& part : parts) {
    const int64_t count = std::ssize(part.tokens);
    for (const int64_t number : {end, count, part.position, int64_t{part.slot}}) *run++ = static_cast<int32_t>(number);
    for (const int64_t token : part.tokens) *id++ = static_cast<int32_t>(token);
    end += count;
    for (int64_t row = end - part.logit_rows; row < end && form.rows == 0; ++row) *logit_row++ = static_cast<int32_t>(row);
  }
  const float* const values = inference.infer({static_cast<size_t>(given_rows), static_cast<size_t>(vocabulary_)}).data();
  end = 0;  // of a part's rows among those whose logits are given
  for (const Part& part : parts) {
    end += form.rows > 0 ? std::ssize(part.tokens) : part.logit_rows;
    part.logits->insert(part.logits->end(), values + (end - part.logit_rows) * vocabulary_, values + end * vocabulary_);
  }
}

}  // namespace dsv4
