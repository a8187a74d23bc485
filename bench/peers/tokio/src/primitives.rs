//! The primitives of row C6: the counterparts of axle_primitives.cpp, where tokio has the thing.
//!
//! axle's limiter and token bucket have none. Invariant: as main.rs; one operation is what the name says, there and back.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch, Barrier, Mutex, Notify, OnceCell, RwLock};
use tokio::task::yield_now;

use crate::tasks::{hand_through_queue, put_and_get};
use crate::{both, keep, ns_per_op, Benchmark};

// An event that stays set is a watch of a bool with tokio; one that wakes a task is a Notify.
async fn wait_for_a_set_event(count: usize) {
    let (_setter, mut event) = watch::channel(true);
    for _ in 0..count {
        while !*keep(&mut event).borrow_and_update() {
            event.changed().await.unwrap();
        }
    }
}

async fn ping(mine: Arc<Notify>, other: Arc<Notify>, count: usize) {
    for _ in 0..count {
        mine.notified().await;
        other.notify_one();
    }
}
async fn wake_by_event(count: usize) {
    let (one, two) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    one.notify_one();
    both(ping(one.clone(), two.clone(), count / 2), ping(two, one, count / 2)).await;
}

// tokio has no condition; its users make one of a Mutex and a Notify.
async fn takes_turns(turns: Arc<(Mutex<bool>, Notify)>, mine: bool, count: usize) {
    let (mutex, changed) = &*turns;
    for _ in 0..count {
        let mut turn = mutex.lock().await;
        while *turn != mine {
            let waiting = changed.notified(); // from here on it misses nothing
            drop(turn);
            waiting.await;
            turn = mutex.lock().await;
        }
        *turn = !mine;
        changed.notify_waiters();
    }
}
async fn wake_by_condition(count: usize) {
    let turns = Arc::new((Mutex::new(false), Notify::new()));
    both(takes_turns(turns.clone(), true, count / 2), takes_turns(turns, false, count / 2)).await;
}

async fn meets(barrier: Arc<Barrier>, count: usize) {
    for _ in 0..count {
        keep(barrier.wait().await);
    }
}
async fn meet_at_barrier(count: usize) {
    let barrier = Arc::new(Barrier::new(2));
    both(meets(barrier.clone(), count / 2), meets(barrier, count / 2)).await;
}

async fn lock_shared(count: usize) {
    let lock = RwLock::new(());
    for _ in 0..count {
        let _held = keep(&lock).read().await;
    }
}

async fn lock_and_yield(lock: Arc<RwLock<()>>, count: usize) {
    for _ in 0..count {
        let _held = lock.write().await;
        yield_now().await;
    }
}
async fn contend_for_shared_mutex(count: usize) {
    let lock = Arc::new(RwLock::new(()));
    both(lock_and_yield(lock.clone(), count / 2), lock_and_yield(lock, count / 2)).await;
}

async fn made() -> usize {
    1
}
async fn get_what_was_made(count: usize) {
    let once = OnceCell::new();
    for _ in 0..count {
        keep(*keep(&once).get_or_init(made).await);
    }
}

async fn send_and_get_oneshot(count: usize) {
    for i in 0..count {
        let (sender, receiver) = oneshot::channel();
        sender.send(i).unwrap();
        keep(receiver.await.unwrap());
    }
}

async fn asks(questions: mpsc::Sender<oneshot::Sender<usize>>, count: usize) {
    for _ in 0..count {
        let (sender, receiver) = oneshot::channel();
        questions.send(sender).await.unwrap();
        keep(receiver.await.unwrap());
    }
}
async fn answers(mut questions: mpsc::Receiver<oneshot::Sender<usize>>) {
    while let Some(question) = questions.recv().await {
        question.send(1).unwrap();
    }
}
async fn ask_and_answer(count: usize) {
    let (sender, receiver) = mpsc::channel(16);
    both(asks(sender, count), answers(receiver)).await;
}

async fn send_and_get_broadcast(count: usize) {
    let (sender, mut receiver) = broadcast::channel(16);
    for i in 0..count {
        sender.send(i).unwrap();
        keep(receiver.recv().await.unwrap());
    }
}

async fn ping_by_broadcast(
    mut mine: broadcast::Receiver<usize>,
    other: broadcast::Sender<usize>,
    count: usize,
) {
    for _ in 0..count {
        let item = mine.recv().await.unwrap();
        keep(other.send(item).is_ok()); // the last finds nobody there
    }
}
async fn wake_by_broadcast(count: usize) {
    let (to_one, one) = broadcast::channel(16);
    let (to_two, two) = broadcast::channel(16);
    to_one.send(1).unwrap();
    both(ping_by_broadcast(one, to_two, count / 2), ping_by_broadcast(two, to_one, count / 2)).await;
}

async fn set_and_see_watch(count: usize) {
    let (setter, mut watcher) = watch::channel(0);
    for i in 0..count {
        setter.send(i).unwrap();
        watcher.changed().await.unwrap();
        keep(*watcher.borrow());
    }
}

async fn ping_by_watch(mut mine: watch::Receiver<usize>, other: watch::Sender<usize>, count: usize) {
    for _ in 0..count {
        mine.changed().await.unwrap();
        let item = *mine.borrow();
        keep(other.send(item).is_ok()); // the last finds nobody there
    }
}
async fn wake_by_watch(count: usize) {
    let (to_one, one) = watch::channel(0);
    let (to_two, two) = watch::channel(0);
    to_one.send(1).unwrap();
    both(ping_by_watch(one, to_two, count / 2), ping_by_watch(two, to_one, count / 2)).await;
}

pub const BENCHMARKS: &[Benchmark] = &[
    ("C6.event/tokio", |seconds| ns_per_op(wait_for_a_set_event, seconds)),
    ("C6.event_turns/tokio", |seconds| ns_per_op(wake_by_event, seconds)),
    ("C6.condition_turns/tokio", |seconds| ns_per_op(wake_by_condition, seconds)),
    ("C6.barrier_turns/tokio", |seconds| ns_per_op(meet_at_barrier, seconds)),
    ("C6.shared_mutex/tokio", |seconds| ns_per_op(lock_shared, seconds)),
    ("C6.shared_mutex_turns/tokio", |seconds| ns_per_op(contend_for_shared_mutex, seconds)),
    ("C6.once/tokio", |seconds| ns_per_op(get_what_was_made, seconds)),
    ("C6.channel/tokio", |seconds| ns_per_op(put_and_get, seconds)),
    ("C6.channel_turns/tokio", |seconds| ns_per_op(hand_through_queue, seconds)),
    ("C6.oneshot/tokio", |seconds| ns_per_op(send_and_get_oneshot, seconds)),
    ("C6.oneshot_turns/tokio", |seconds| ns_per_op(ask_and_answer, seconds)),
    ("C6.broadcast/tokio", |seconds| ns_per_op(send_and_get_broadcast, seconds)),
    ("C6.broadcast_turns/tokio", |seconds| ns_per_op(wake_by_broadcast, seconds)),
    ("C6.watch/tokio", |seconds| ns_per_op(set_and_see_watch, seconds)),
    ("C6.watch_turns/tokio", |seconds| ns_per_op(wake_by_watch, seconds)),
];
