// All of axle/sync/: what tasks use to wait for each other, on one core and (broadcast, channel, mesh, oneshot,
// spsc_channel, watch) on any.
#pragma once

#include <axle/sync/barrier.hpp>
#include <axle/sync/broadcast.hpp>
#include <axle/sync/capacity_limiter.hpp>
#include <axle/sync/channel.hpp>
#include <axle/sync/condition.hpp>
#include <axle/sync/delay_queue.hpp>
#include <axle/sync/event.hpp>
#include <axle/sync/expiring_map.hpp>
#include <axle/sync/mesh.hpp>
#include <axle/sync/mutex.hpp>
#include <axle/sync/once.hpp>
#include <axle/sync/oneshot.hpp>
#include <axle/sync/queue.hpp>
#include <axle/sync/semaphore.hpp>
#include <axle/sync/shared_mutex.hpp>
#include <axle/sync/singleflight.hpp>
#include <axle/sync/spsc_channel.hpp>
#include <axle/sync/token_bucket.hpp>
#include <axle/sync/watch.hpp>
