//! The micro benchmarks of tasks and primitives written with tokio, as its users write them.
//!
//! Prints what Google Benchmark would, as far as the scorecard reads it: --benchmark_filter=^NAME(/|$) (NAME taken
//! literally) and --benchmark_min_time=SECONDS, JSON with ns_per_op.
//!
//! Invariant: one thread, the runtime that `#[tokio::main(flavor = "current_thread")]` makes, with I/O and timers. As
//! with axle, only whole batches inside the running loop are between the two readings of the clock.
//!
//! What is part of the figures, and what is not:
//! - Bodies run in a spawned task. In `block_on` itself each wake would be a write to an eventfd.
//! - tokio's coop budget makes a task yield after 128 operations (a queue's put and get are two). It is left on, for
//!   axle makes a task yield too, after 1,024.
//! - `yield_now` lets the driver look for I/O before the task goes on: with nothing else to run, an epoll_wait each time.
//!   That is most of C2.yield, C5.contended and C6.shared_mutex_turns. C2.yield/tokio_wake is a yield without it.
//! - An async function that is awaited where it is called is no allocation and no call: C2.await is what is left of it.
//! - tokio's primitives serve several threads; axle's mutex, semaphore, event, queue and the like one core only.

mod primitives;
mod tasks;

use std::arch::asm;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

type Benchmark = (&'static str, fn(f64) -> f64);

/// Operations between two readings of the clock.
const BATCH: usize = 10_000;

/// Makes the compiler believe that the value is looked at. (`std::hint::black_box` came after Debian 12's compiler.)
#[inline(always)]
pub fn keep<T>(value: T) -> T {
    // Safe: it reads nothing and writes nothing; the compiler only cannot know that.
    unsafe { asm!("/* {0} */", in(reg) &value, options(nostack, preserves_flags)) };
    value
}

/// Runs both as tasks of their own, to the end.
pub async fn both(
    one: impl Future<Output = ()> + Send + 'static,
    two: impl Future<Output = ()> + Send + 'static,
) {
    let (one, two) = (tokio::spawn(one), tokio::spawn(two));
    one.await.unwrap();
    two.await.unwrap();
}

/// Runs `body(BATCH)`, which performs BATCH operations, until enough was seen. The first batch is not counted.
pub fn ns_per_op<Body, Batch>(body: Body, seconds: f64) -> f64
where
    Body: Fn(usize) -> Batch + Send + Sync + 'static,
    Batch: Future<Output = ()> + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let measured = async move {
        body(BATCH).await;
        let (mut spent, mut done) = (Duration::ZERO, 0);
        while spent.as_secs_f64() < seconds {
            let start = Instant::now();
            body(BATCH).await;
            spent += start.elapsed();
            done += BATCH;
        }
        spent.as_nanos() as f64 / done as f64
    };
    runtime.block_on(async { tokio::spawn(measured).await.unwrap() })
}

fn main() {
    let (mut wanted, mut seconds) = (String::new(), 0.1);
    for word in std::env::args().skip(1) {
        match word.trim_start_matches('-').split_once('=') {
            Some(("benchmark_filter", value)) => {
                wanted = value.trim_start_matches('^').trim_end_matches("(/|$)").replace('\\', "")
            }
            Some(("benchmark_min_time", value)) => seconds = value.parse().expect("seconds"),
            _ => {}
        }
    }
    let every: Vec<&Benchmark> = tasks::BENCHMARKS.iter().chain(primitives::BENCHMARKS).collect();
    let results: Vec<String> = every
        .iter()
        .filter(|(name, _)| wanted.is_empty() || *name == wanted)
        .map(|(name, run)| format!(r#"{{"name": "{name}", "ns_per_op": {}}}"#, run(seconds)))
        .collect();
    println!(r#"{{"benchmarks": [{}]}}"#, results.join(",\n"));
}
