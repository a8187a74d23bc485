//! Tasks, and the primitives of row C5: the counterparts of axle_micro.cpp.
//!
//! Invariant: as main.rs; one operation is what the name says, there and back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, Mutex, Semaphore};
use tokio::task::{yield_now, JoinHandle};

use crate::{both, keep, ns_per_op, Benchmark};

async fn immediate(value: usize) -> usize {
    value
}

async fn spawn_one_by_one(count: usize) {
    for i in 0..count {
        keep(tokio::spawn(immediate(i)).await.unwrap());
    }
}

async fn spawn_a_thousand(count: usize) {
    let mut handles: Vec<JoinHandle<usize>> = Vec::with_capacity(1000);
    for _ in 0..count / 1000 {
        handles.extend((0..1000).map(|i| tokio::spawn(immediate(i))));
        for handle in handles.drain(..) {
            keep(handle.await.unwrap());
        }
    }
}

async fn await_children(count: usize) {
    for i in 0..count {
        keep(immediate(keep(i)).await);
    }
}

async fn yield_repeatedly(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

// Through the ready queue without a look for I/O: what yield_now was before tokio 1.23.
struct WakesItself {
    woken: bool,
}
impl Future for WakesItself {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.woken {
            return Poll::Ready(());
        }
        self.woken = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
async fn wake_itself_repeatedly(count: usize) {
    for _ in 0..count {
        WakesItself { woken: false }.await;
    }
}

async fn lock_mutex(count: usize) {
    let mutex = Mutex::new(());
    for _ in 0..count {
        let _held = keep(&mutex).lock().await;
    }
}

async fn acquire_semaphore(count: usize) {
    let semaphore = Semaphore::new(2);
    for _ in 0..count {
        let _permit = keep(&semaphore).acquire().await.unwrap();
    }
}

async fn lock_and_yield(mutex: Arc<Mutex<()>>, count: usize) {
    for _ in 0..count {
        let _held = mutex.lock().await;
        yield_now().await;
    }
}
async fn contend_for_mutex(count: usize) {
    let mutex = Arc::new(Mutex::new(()));
    both(lock_and_yield(mutex.clone(), count / 2), lock_and_yield(mutex, count / 2)).await;
}

// tokio's one bounded queue is for several threads: it stands beside axle's queue (C5) and beside its channel (C6).
pub async fn put_and_get(count: usize) {
    let (sender, mut receiver) = mpsc::channel(16);
    for i in 0..count {
        sender.send(i).await.unwrap();
        keep(receiver.recv().await);
    }
}

async fn put_all(sender: mpsc::Sender<usize>, count: usize) {
    for i in 0..count {
        sender.send(i).await.unwrap();
    }
}
async fn get_all(mut receiver: mpsc::Receiver<usize>) {
    while let Some(item) = receiver.recv().await {
        keep(item);
    }
}
pub async fn hand_through_queue(count: usize) {
    let (sender, receiver) = mpsc::channel(16);
    both(put_all(sender, count), get_all(receiver)).await;
}

pub const BENCHMARKS: &[Benchmark] = &[
    ("C1.one/tokio", |seconds| ns_per_op(spawn_one_by_one, seconds)),
    ("C1.thousand/tokio", |seconds| ns_per_op(spawn_a_thousand, seconds)),
    ("C2.await/tokio", |seconds| ns_per_op(await_children, seconds)),
    ("C2.yield/tokio", |seconds| ns_per_op(yield_repeatedly, seconds)),
    ("C2.yield/tokio_wake", |seconds| ns_per_op(wake_itself_repeatedly, seconds)),
    ("C5.mutex/tokio", |seconds| ns_per_op(lock_mutex, seconds)),
    ("C5.semaphore/tokio", |seconds| ns_per_op(acquire_semaphore, seconds)),
    ("C5.queue/tokio", |seconds| ns_per_op(put_and_get, seconds)),
    ("C5.contended/tokio", |seconds| ns_per_op(contend_for_mutex, seconds)),
    ("C5.handed/tokio", |seconds| ns_per_op(hand_through_queue, seconds)),
];
