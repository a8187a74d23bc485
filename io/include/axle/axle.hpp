// All of axle: tasks, time, cores and I/O in one include.
#pragma once

#include <axle/call.hpp>
#include <axle/clock.hpp>
#include <axle/cores.hpp>
#include <axle/exception_group.hpp>
#include <axle/first_of.hpp>
#include <axle/gather.hpp>
#include <axle/io/address.hpp>
#include <axle/io/buffer.hpp>
#include <axle/io/http.hpp>
#include <axle/io/tcp_listener.hpp>
#include <axle/io/tcp_options.hpp>
#include <axle/io/tcp_stream.hpp>
#include <axle/outcome.hpp>
#include <axle/result.hpp>
#include <axle/run.hpp>
#include <axle/shield.hpp>
#include <axle/sleep.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>
#include <axle/task_group.hpp>
#include <axle/timeout.hpp>
#include <axle/topology.hpp>
