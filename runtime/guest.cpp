// A run on a stack of its own, which it leaves where others would sleep.
#include <axle/guest.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "engine.hpp"
#include "stack_switch.hpp"

namespace axle::detail {

class guest_engine final : public loop_host {
 public:
  guest_engine(const run_options& options, frame_handle root)
      : main(root), home_(std::this_thread::get_id()), engine_(options, this) {
    stack_ = &stack_switch::make(
        stack_bytes, [](void* of) noexcept { static_cast<guest_engine*>(of)->body(); }, this);
    stack_->enter();  // until the loop stands, and nothing of main has run
    if (failure_) {
      stack_->destroy();
      std::rethrow_exception(failure_);
    }
    // The host may watch it for longer than the loop lives.
    descriptor = fcntl(engine_.drives().descriptor(), F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0) {
      const int error = errno;
      end();
      stack_->destroy();
      throw std::system_error(error, std::system_category(),
                              "a guest's descriptor (raise the limit of open files: ulimit -n)");
    }
  }
  guest_engine(const guest_engine&) = delete;
  guest_engine& operator=(const guest_engine&) = delete;
  ~guest_engine() override {
    stack_->destroy();
    if (descriptor >= 0) close(descriptor);
  }

  // In a turn of the guest: back to the host.
  void leave() noexcept override {
    loop_core* const loop = std::exchange(this_loop, nullptr);
    engine* const mine = std::exchange(current_engine(), nullptr);
    stack_->leave();
    this_loop = loop;
    current_engine() = mine;
  }

  bool turn() noexcept {
    AXLE_CHECK(home_ == std::this_thread::get_id(), "a guest was used on a thread that did not make it");
    AXLE_CHECK(this_loop == nullptr, "guest::turn() was called inside a loop; it belongs to the host");
    if (!ended()) stack_->enter();
    return !ended();
  }
  bool ended() const noexcept { return stack_->ended(); }

  /// Cancels it, and turns until it has ended.
  void end() noexcept {
    cancel();
    pollfd ready = {.fd = ended() ? -1 : engine_.drives().descriptor(), .events = POLLIN, .revents = 0};
    while (turn()) poll(&ready, 1, -1);
  }

  void cancel() noexcept {
    if (ended() || std::exchange(told_to_end_, true)) return;
    AXLE_CHECK(home_ == std::this_thread::get_id(), "a guest was used on a thread that did not make it");
    engine_.signalled();
  }

  main_task main;
  int descriptor = -1;

 private:
  static constexpr std::size_t stack_bytes = std::size_t{8} << 20;

  void body() noexcept {
    try {
      engine_.run(main);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  std::thread::id home_;
  engine engine_;
  stack_switch* stack_ = nullptr;
  std::exception_ptr failure_;
  bool told_to_end_ = false;
};

guest_run::guest_run(const run_options& options, frame_handle main)
    : engine_(std::make_unique<guest_engine>(options, main)) {}

guest_run::~guest_run() { engine_->end(); }

int guest_run::descriptor() const noexcept { return engine_->descriptor; }
bool guest_run::turn() noexcept { return engine_->turn(); }
bool guest_run::ended() const noexcept { return engine_->ended(); }
void guest_run::cancel() noexcept { engine_->cancel(); }
main_task& guest_run::main() noexcept { return engine_->main; }

}  // namespace axle::detail
